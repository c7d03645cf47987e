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
            let blank = self.position();
            if flags.verbose {
                self.take_while(usize::MAX, is_blank);
            }
            let start = self.position();
            if !(self.eat('(') && self.eat('?')) {
                self.go_to(blank);
                return Ok(flags);
            }
            if self.eat('#') {
                self.comment(start)?;
                continue;
            }
            let letters = self.take_while(usize::MAX, |char| "aimsux".contains(char));
            if letters.is_empty() || !self.eat(')') {
                self.go_to(blank);
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
        let open = self.position() - 1;
        if !self.eat('?') {
            return self.capture(None, open, flags).map(Some);
        }
        let Some(kind) = self.next() else { return Err(self.invalid("unexpected end of pattern")) };
        Ok(Some(match kind {
            '#' => {
                self.comment(open)?;
                return Ok(None);
            }
            ':' => Node::Group { index: None, inner: self.inner(open, flags)? },
            '>' => Node::Atomic(self.inner(open, flags)?),
            'P' => match self.next() {
                Some('<') => {
                    let start = self.position();
                    let name = self.name('>')?;
                    self.capture(Some((name, start)), open, flags)?
                }
                Some('=') => {
                    let start = self.position();
                    let name = self.name(')')?;
                    let Some(&group) = self.names.get(&name) else {
                        return Err(self.invalid_at(start, "unknown group name"));
                    };
                    self.reference(group, flags, (start, start))?
                }
                None => return Err(self.invalid("unexpected end of pattern")),
                Some(_) => return Err(self.invalid_at(open + 1, "unknown extension ?P")),
            },
            '=' => self.look(false, false, open, flags)?,
            '!' => self.look(false, true, open, flags)?,
            '<' => match self.next() {
                Some('=') => self.look(true, false, open, flags)?,
                Some('!') => self.look(true, true, open, flags)?,
                None => return Err(self.invalid("unexpected end of pattern")),
                Some(_) => return Err(self.invalid_at(open + 1, "unknown extension ?<")),
            },
            '(' => self.condition(open, flags)?,
            'a' | 'i' | 'L' | 'm' | 's' | 'u' | 'x' | '-' => {
                let inside = self.scoped_flags(kind, open, flags)?;
                Node::Group { index: None, inner: self.inner(open, inside)? }
            }
            other => return Err(self.invalid_at(open + 1, format!("unknown extension ?{other}"))),
        }))
    }

    /// Reads the content of a group and its closing parenthesis. `open` is the position of the opening one.
    fn inner(&mut self, open: usize, flags: Flags) -> Result<Box<Node>, FilterError> {
        let inner = self.alternatives(flags)?;
        if self.eat(')') { Ok(Box::new(inner)) } else { Err(self.unterminated(open)) }
    }

    fn unterminated(&self, open: usize) -> FilterError {
        self.invalid_at(open, "missing ), unterminated subpattern")
    }

    /// Reads the rest of a capturing group. A name comes with its position.
    fn capture(&mut self, name: Option<(String, usize)>, open: usize, flags: Flags) -> Result<Node, FilterError> {
        self.groups.push(Group { width: None, is_hidden: false });
        let index = self.groups.len();
        if let Some((name, start)) = name
            && self.names.insert(name, index).is_some()
        {
            return Err(self.invalid_at(start, "redefinition of a group name"));
        }
        let inner = self.inner(open, flags)?;
        self.groups[index - 1].width = Some(inner.width(&self.groups));
        Ok(Node::Group { index: Some(index), inner })
    }

    fn look(&mut self, is_behind: bool, negative: bool, open: usize, flags: Flags) -> Result<Node, FilterError> {
        let (groups, outer) = (self.groups.len(), self.before_look_behind);
        if is_behind {
            self.before_look_behind.get_or_insert(groups);
        }
        let inner = self.inner(open, flags)?;
        self.before_look_behind = outer;
        if negative {
            self.groups[groups..].iter_mut().for_each(|group| group.is_hidden = true);
        }
        let width = inner.width(&self.groups);
        if is_behind && width.least != width.most {
            return Err(self.invalid_at(open, "look-behind requires fixed-width pattern"));
        }
        let behind = is_behind.then(|| usize::try_from(width.least).unwrap_or(usize::MAX));
        Ok(Node::Look { inner, behind, negative })
    }

    /// A reference to a group that was read before. The positions are those of an invalid reference, and of one to an open
    /// group.
    pub(super) fn reference(
        &mut self,
        group: usize,
        flags: Flags,
        (invalid, open): (usize, usize),
    ) -> Result<Node, FilterError> {
        match group.checked_sub(1).and_then(|at| self.groups.get(at)) {
            None => return Err(self.invalid_at(invalid, "invalid group reference")),
            Some(Group { width: None, .. }) => return Err(self.invalid_at(open, "cannot refer to an open group")),
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
    fn condition(&mut self, open: usize, flags: Flags) -> Result<Node, FilterError> {
        let start = self.position();
        let number = self.take_while(usize::MAX, |char| char.is_ascii_digit());
        let group = if number.is_empty() {
            let name = self.name(')')?;
            *self.names.get(&name).ok_or_else(|| self.invalid_at(start, "unknown group name"))?
        } else if self.eat(')') {
            let number = number.parse::<usize>().ok().filter(|group| *group > 0);
            number.ok_or_else(|| self.invalid_at(start, "bad group number"))?
        } else {
            return Err(self.invalid_at(start, "bad character in group name"));
        };
        if group > self.groups.len() {
            self.later_groups.push((group, start));
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
            return Err(self.unterminated(open));
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
        let start = self.position();
        let name = self.take_while(usize::MAX, |char| char != end);
        if name.is_empty() {
            return Err(self.invalid_at(start, "missing group name"));
        }
        if !self.eat(end) {
            return Err(self.invalid_at(start, "unterminated name"));
        }
        let is_start = |char: char| char.is_ascii_alphabetic() || char == '_';
        let is_name = name.starts_with(is_start) && name.chars().all(|char| is_start(char) || char.is_ascii_digit());
        if is_name {
            Ok(name)
        } else if name.is_ascii() {
            Err(self.invalid_at(start, "bad character in group name"))
        } else {
            Err(FilterError::Unsupported { construct: "a group name with other than ASCII letters" })
        }
    }

    /// Reads the flags of `(?aimsx-imsx:`. `open` is the position of the parenthesis.
    fn scoped_flags(&mut self, first: char, open: usize, outside: Flags) -> Result<Flags, FilterError> {
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
            return Err(self.invalid_at(open, "global flags not at the start of the expression"));
        }
        let unknown = |letters: &str, known: &str| letters.chars().position(|flag| !known.contains(flag));
        // The letters are ASCII: as many bytes as characters. A minus is between them.
        let unknown = unknown(&on, "aimsux").or_else(|| unknown(&off, "imsx").map(|at| on.len() + 1 + at));
        if let Some(letters) = unknown {
            return Err(self.invalid_at(open + 2 + letters, "unknown flag"));
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

    /// Skips the rest of a comment. `open` is the position of its parenthesis.
    fn comment(&mut self, open: usize) -> Result<(), FilterError> {
        loop {
            match self.sign()? {
                None => return Err(self.invalid_at(open, "missing ), unterminated comment")),
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
