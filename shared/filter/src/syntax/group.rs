//! Reads constructs that begin with a parenthesis: groups, look-around, conditions, flags and comments.

use super::parser::{Parser, is_blank};
use super::width::Group;
use super::{Flags, Node};
use crate::error::FilterError;

impl Parser {
    /// Reads the flags and comments at the start. Flags for the whole expression are only allowed there.
    pub(super) fn leading_flags(&mut self) -> Result<Flags, FilterError> {
        let (mut flags, mut all_letters) = (Flags::default(), String::new());
        loop {
            let start = self.position();
            if flags.verbose {
                self.take_while(usize::MAX, is_blank);
            }
            if !(self.eat('(') && self.eat('?')) {
                self.go_to(start);
                return Ok(flags);
            }
            if self.eat('#') {
                self.comment()?;
                continue;
            }
            let letters = self.take_while(usize::MAX, |char| "aimsux".contains(char));
            if letters.is_empty() || !self.eat(')') {
                self.go_to(start);
                return Ok(flags);
            }
            flags = with(flags, &letters);
            all_letters += &letters;
            if all_letters.contains('a') && all_letters.contains('u') {
                return Err(self.invalid("ASCII and UNICODE flags are incompatible"));
            }
        }
    }

    /// Reads a group after its opening parenthesis; `None` means a comment.
    pub(super) fn group(&mut self, flags: Flags) -> Result<Option<Node>, FilterError> {
        if !self.eat('?') {
            return self.capture(None, flags).map(Some);
        }
        let Some(kind) = self.next() else { return Err(self.invalid("unexpected end of pattern")) };
        Ok(Some(match kind {
            '#' => {
                self.comment()?;
                return Ok(None);
            }
            ':' => Node::Group { index: None, inner: self.inner(flags)? },
            '>' => Node::Atomic(self.inner(flags)?),
            'P' => match self.next() {
                Some('<') => {
                    let name = self.name('>')?;
                    self.capture(Some(name), flags)?
                }
                Some('=') => {
                    let name = self.name(')')?;
                    let Some(&group) = self.names.get(&name) else { return Err(self.invalid("unknown group name")) };
                    self.reference(group, flags)?
                }
                _ => return Err(self.invalid("unknown extension ?P")),
            },
            '=' => self.look(false, false, flags)?,
            '!' => self.look(false, true, flags)?,
            '<' => match self.next() {
                Some('=') => self.look(true, false, flags)?,
                Some('!') => self.look(true, true, flags)?,
                _ => return Err(self.invalid("unknown extension ?<")),
            },
            '(' => self.condition(flags)?,
            'a' | 'i' | 'L' | 'm' | 's' | 'u' | 'x' | '-' => {
                let inside = self.scoped_flags(kind, flags)?;
                Node::Group { index: None, inner: self.inner(inside)? }
            }
            other => return Err(self.invalid(format!("unknown extension ?{other}"))),
        }))
    }

    /// Reads the content of a group and its closing parenthesis.
    fn inner(&mut self, flags: Flags) -> Result<Box<Node>, FilterError> {
        let inner = self.alternatives(flags)?;
        if self.eat(')') { Ok(Box::new(inner)) } else { Err(self.invalid("missing ), unterminated subpattern")) }
    }

    fn capture(&mut self, name: Option<String>, flags: Flags) -> Result<Node, FilterError> {
        self.groups.push(Group { width: None, is_hidden: false });
        let index = self.groups.len();
        if let Some(name) = name
            && self.names.insert(name, index).is_some()
        {
            return Err(self.invalid("redefinition of a group name"));
        }
        let inner = self.inner(flags)?;
        self.groups[index - 1].width = Some(inner.width(&self.groups));
        Ok(Node::Group { index: Some(index), inner })
    }

    fn look(&mut self, is_behind: bool, negative: bool, flags: Flags) -> Result<Node, FilterError> {
        let (groups, outer) = (self.groups.len(), self.before_look_behind);
        if is_behind {
            self.before_look_behind.get_or_insert(groups);
        }
        let inner = self.inner(flags)?;
        self.before_look_behind = outer;
        if negative {
            self.groups[groups..].iter_mut().for_each(|group| group.is_hidden = true);
        }
        let width = inner.width(&self.groups);
        if is_behind && width.least != width.most {
            return Err(self.invalid("look-behind requires fixed-width pattern"));
        }
        let behind = is_behind.then(|| usize::try_from(width.least).unwrap_or(usize::MAX));
        Ok(Node::Look { inner, behind, negative })
    }

    /// A reference to a group that was read before.
    pub(super) fn reference(&mut self, group: usize, flags: Flags) -> Result<Node, FilterError> {
        match group.checked_sub(1).and_then(|at| self.groups.get(at)) {
            None => return Err(self.invalid("invalid group reference")),
            Some(Group { width: None, .. }) => return Err(self.invalid("cannot refer to an open group")),
            Some(_) => self.check_visible(group)?,
        }
        Ok(Node::Reference { group, case: flags.case() })
    }

    fn check_visible(&self, group: usize) -> Result<(), FilterError> {
        if self.groups.get(group - 1).is_some_and(|group| group.is_hidden) {
            return Err(FilterError::Unsupported {
                construct: "a reference from outside to a group inside of a negative look-around",
            });
        }
        if self.before_look_behind.is_some_and(|before| group > before) {
            return Err(self.invalid("cannot refer to group defined in the same lookbehind subpattern"));
        }
        Ok(())
    }

    /// Reads `(?(group)yes|no)` after its second parenthesis.
    fn condition(&mut self, flags: Flags) -> Result<Node, FilterError> {
        let number = self.take_while(usize::MAX, |char| char.is_ascii_digit());
        let group = if number.is_empty() {
            let name = self.name(')')?;
            *self.names.get(&name).ok_or_else(|| self.invalid("unknown group name"))?
        } else if self.eat(')') {
            number.parse::<usize>().ok().filter(|group| *group > 0).ok_or_else(|| self.invalid("bad group number"))?
        } else {
            return Err(self.invalid("bad character in group name"));
        };
        if group > self.groups.len() {
            self.later_groups.push((group, self.position()));
            if self.before_look_behind.is_some() {
                return Err(self.invalid("cannot refer to an open group"));
            }
        } else {
            let is_open = self.groups[group - 1].width.is_none();
            if is_open && self.before_look_behind.is_some() {
                return Err(self.invalid("cannot refer to an open group"));
            }
            self.check_visible(group)?;
        }
        let yes = Box::new(self.sequence(flags)?);
        let no = Box::new(if self.eat('|') { self.sequence(flags)? } else { Node::Empty });
        if self.peek() == Some('|') {
            return Err(self.invalid("conditional backref with more than two branches"));
        }
        if !self.eat(')') {
            return Err(self.invalid("missing ), unterminated subpattern"));
        }
        Ok(Node::IfGroup { group, yes, no })
    }

    /// Checks that all groups exist that conditions named before the groups were read.
    pub(super) fn check_conditions(&mut self) -> Result<(), FilterError> {
        for (group, at) in std::mem::take(&mut self.later_groups) {
            self.go_to(at);
            if group > self.groups.len() {
                return Err(self.invalid("invalid group reference"));
            }
            self.check_visible(group)?;
        }
        Ok(())
    }

    /// Reads a name up to the character that ends it.
    fn name(&mut self, end: char) -> Result<String, FilterError> {
        let name = self.take_while(usize::MAX, |char| char != end);
        if name.is_empty() {
            return Err(self.invalid("missing group name"));
        }
        if !self.eat(end) {
            return Err(self.invalid("unterminated name"));
        }
        let is_start = |char: char| char.is_ascii_alphabetic() || char == '_';
        let is_name = name.starts_with(is_start) && name.chars().all(|char| is_start(char) || char.is_ascii_digit());
        if is_name {
            Ok(name)
        } else if name.is_ascii() {
            Err(self.invalid("bad character in group name"))
        } else {
            Err(FilterError::Unsupported { construct: "a group name with other than ASCII letters" })
        }
    }

    /// Reads the flags of `(?aimsx-imsx:`.
    fn scoped_flags(&mut self, first: char, outside: Flags) -> Result<Flags, FilterError> {
        let is_letter = |char: char| char.is_ascii_alphabetic();
        let (mut on, mut off) = (String::new(), String::new());
        if first != '-' {
            on.push(first);
            on += &self.take_while(usize::MAX, is_letter);
        }
        if first == '-' || self.eat('-') {
            off = self.take_while(usize::MAX, is_letter);
            if off.is_empty() {
                return Err(self.invalid("missing flag"));
            }
        } else if self.eat(')') {
            return Err(self.invalid("global flags not at the start of the expression"));
        }
        if !on.chars().all(|flag| "aimsux".contains(flag)) || !off.chars().all(|flag| "imsx".contains(flag)) {
            return Err(self.invalid("unknown flag"));
        }
        if on.contains('a') && on.contains('u') {
            return Err(self.invalid("inline flags 'a' and 'u' are incompatible"));
        }
        if on.chars().any(|flag| off.contains(flag)) {
            return Err(self.invalid("inline flags cannot be turned on and off at the same time"));
        }
        if !self.eat(':') {
            return Err(self.invalid("missing :"));
        }
        let mut inside = with(outside, &on);
        for flag in off.chars() {
            match flag {
                'i' => inside.ignore_case = false,
                'm' => inside.multi_line = false,
                's' => inside.dot_all = false,
                _ => inside.verbose = false,
            }
        }
        Ok(inside)
    }

    /// Skips the rest of a comment.
    fn comment(&mut self) -> Result<(), FilterError> {
        loop {
            match self.sign()? {
                None => return Err(self.invalid("missing ), unterminated comment")),
                Some(')') => return Ok(()),
                Some(_) => {}
            }
        }
    }
}

fn with(flags: Flags, letters: &str) -> Flags {
    let has = |letter| letters.contains(letter);
    Flags {
        ignore_case: flags.ignore_case || has('i'),
        multi_line: flags.multi_line || has('m'),
        dot_all: flags.dot_all || has('s'),
        verbose: flags.verbose || has('x'),
        ascii: (flags.ascii || has('a')) && !has('u'),
    }
}
