//! Converts trees for the automaton compiler.

use regex_syntax::hir::{Class, Hir, Look, Repetition};

use crate::syntax::{Assertion, Mode, Node};

/// The expression for an automaton; `None` if no automaton can match it.
///
/// `is_last` means that nothing follows the node. Then `$` may consume the last line feed; otherwise it needs
/// backtracking, because automata do not look ahead.
pub(super) fn hir(node: &Node, is_last: bool) -> Option<Hir> {
    Some(match node {
        Node::Empty => Hir::empty(),
        Node::Char(char) => Hir::literal(char.encode_utf8(&mut [0; 4]).as_bytes()),
        Node::Set(set) => Hir::class(Class::Unicode(set.to_class())),
        Node::Concat(parts) => {
            let last = parts.len() - 1;
            let parts = parts.iter().enumerate().map(|(at, part)| hir(part, is_last && at == last));
            Hir::concat(parts.collect::<Option<_>>()?)
        }
        Node::Alternatives(parts) => {
            Hir::alternation(parts.iter().map(|part| hir(part, is_last)).collect::<Option<_>>()?)
        }
        Node::Group { inner, .. } => hir(inner, is_last)?,
        Node::Repeat { mode: Mode::Possessive, .. } => return None,
        Node::Repeat { inner, least, most, .. } => {
            let sub = hir(inner, is_last && *most == Some(1))?;
            Hir::repetition(Repetition { min: *least, max: *most, greedy: true, sub: Box::new(sub) })
        }
        Node::Assert(assertion) => assert(*assertion, is_last)?,
        Node::Look { .. } | Node::Atomic(_) | Node::Reference { .. } | Node::IfGroup { .. } => return None,
    })
}

fn assert(assertion: Assertion, is_last: bool) -> Option<Hir> {
    Some(Hir::look(match assertion {
        Assertion::Start => Look::Start,
        Assertion::StartLine => Look::StartLF,
        Assertion::End => Look::End,
        Assertion::EndLine => Look::EndLF,
        Assertion::EndOrLastLineFeed if is_last => {
            let line_feed = Box::new(Hir::literal(*b"\n"));
            let line_feed = Hir::repetition(Repetition { min: 0, max: Some(1), greedy: true, sub: line_feed });
            return Some(Hir::concat(vec![line_feed, Hir::look(Look::End)]));
        }
        Assertion::EndOrLastLineFeed => return None,
        Assertion::Word { ascii: false, negative: false } => Look::WordUnicode,
        Assertion::Word { ascii: false, negative: true } => Look::WordUnicodeNegate,
        Assertion::Word { ascii: true, negative: false } => Look::WordAscii,
        Assertion::Word { ascii: true, negative: true } => Look::WordAsciiNegate,
    }))
}
