//! Follows the server's answers as far as their lengths, and stops reading at the first that no command asked for.

use super::budget::AnswerBudget;

/// The longest line, in bytes: a number, a word or the message of an error.
const LONGEST_LINE: usize = 16 * 1024;

/// The most lists within each other. The answer to `SCAN` has two; the library reads a list of many levels again and again
/// while it comes, which takes quadratic time.
const MOST_LEVELS: usize = 4;

/// The server sent something that is no answer to the commands in flight.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server sent more than it was asked for")]
pub(super) struct Excess;

/// The position in the server's answers.
#[derive(Debug, Default)]
pub(super) struct AnswerGuard {
    position: Position,
    /// For each list that is not complete, from the outermost, how many elements are to come.
    open_lists: Vec<u64>,
}

#[derive(Debug, Default)]
enum Position {
    /// Before the first byte of an element, which tells its type.
    #[default]
    Start,
    /// In the first line of an element.
    Line { length: usize, kind: u8, number: Number, is_ending: bool },
    /// In a string, with this many bytes to come, including the end of its line.
    Text(u64),
}

/// The number in a line, as far as it was read; larger ones stay at the maximum.
#[derive(Debug, Default, Clone, Copy)]
struct Number {
    magnitude: u64,
    is_negative: bool,
}

impl Number {
    fn push(&mut self, byte: u8) {
        match byte {
            b'-' => self.is_negative = true,
            b'0'..=b'9' => {
                self.magnitude = self.magnitude.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
            }
            _ => {}
        }
    }

    /// The length that the line announces; 0 for the null that a negative one means.
    fn length(self) -> u64 {
        if self.is_negative { 0 } else { self.magnitude }
    }
}

impl AnswerGuard {
    /// Reads bytes from the server.
    pub(super) fn read(&mut self, bytes: &[u8], budget: &AnswerBudget) -> Result<(), Excess> {
        self.follow(bytes, budget).inspect_err(|Excess| budget.mark_exceeded())
    }

    fn follow(&mut self, bytes: &[u8], budget: &AnswerBudget) -> Result<(), Excess> {
        if !budget.take(bytes.len() as u64, 0) {
            return Err(Excess);
        }
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match &mut self.position {
                Position::Start => {
                    // Other types belong to a version of the protocol that we did not ask for.
                    if !b"+-:$*".contains(&byte) || !budget.take(0, 1) {
                        return Err(Excess);
                    }
                    self.position =
                        Position::Line { length: 0, kind: byte, number: Number::default(), is_ending: false };
                    rest = after;
                }
                Position::Line { length, kind, number, is_ending } => {
                    *length += 1;
                    rest = after;
                    if *length > LONGEST_LINE {
                        return Err(Excess);
                    }
                    let is_end = *is_ending && byte == b'\n';
                    *is_ending = byte == b'\r';
                    if is_end {
                        let (kind, number) = (*kind, *number);
                        self.end_line(kind, number, rest.len() as u64, budget)?;
                    } else {
                        number.push(byte);
                    }
                }
                Position::Text(left) => {
                    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
                    rest = &rest[taken..];
                    *left -= taken as u64;
                    if *left == 0 {
                        self.end_element();
                    }
                }
            }
        }
        Ok(())
    }

    /// Ends the first line of an element. `unread` bytes after it have been taken from the budget already.
    fn end_line(&mut self, kind: u8, number: Number, unread: u64, budget: &AnswerBudget) -> Result<(), Excess> {
        let length = number.length();
        match kind {
            b'$' if !budget.allows(length.saturating_sub(unread), 0) => return Err(Excess),
            b'*' if !budget.allows(0, length) || self.open_lists.len() == MOST_LEVELS => return Err(Excess),
            b'$' if !number.is_negative => self.position = Position::Text(length.saturating_add(2)),
            b'*' if length > 0 => {
                self.open_lists.push(length);
                self.position = Position::Start;
            }
            _ => self.end_element(),
        }
        Ok(())
    }

    /// Ends an element, and each list of which it is the last.
    fn end_element(&mut self) {
        self.position = Position::Start;
        while let Some(left) = self.open_lists.last_mut() {
            *left = left.saturating_sub(1);
            if *left > 0 {
                break;
            }
            self.open_lists.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::budget::AnswerSize;
    use super::*;

    /// Reads an answer in pieces of this many bytes.
    fn read(answer: &[u8], piece: usize, bytes: u64, elements: u64) -> Result<(), Excess> {
        let budget = Arc::new(AnswerBudget::default());
        // Ends what a new connection allows.
        budget.expect(AnswerSize::lines(0)).have_come();
        let _answers = budget.expect(AnswerSize { bytes, elements });
        let mut guard = AnswerGuard::default();
        answer.chunks(piece).try_for_each(|piece| guard.read(piece, &budget))
    }

    const ANSWERS: &[u8] =
        b"+OK\r\n:-5\r\n-ERR no\r\n$5\r\na\r\n:1\r\n$-1\r\n$0\r\n\r\n*2\r\n$1\r\na\r\n*1\r\n:7\r\n*-1\r\n*0\r\n";

    #[test]
    fn lists_within_each_other_have_few_levels_and_lists_after_each_other_any_number() {
        let nested = |levels: usize| "*1\r\n".repeat(levels) + ":1\r\n";
        assert_eq!(read(nested(MOST_LEVELS).as_bytes(), 3, 1_000, 100), Ok(()));
        assert_eq!(read(nested(MOST_LEVELS + 1).as_bytes(), 3, 1_000, 100), Err(Excess));
        let flat = "*3\r\n*0\r\n*-1\r\n*1\r\n$1\r\na\r\n".repeat(8);
        assert_eq!(read(flat.as_bytes(), 3, 1_000, 100), Ok(()));
    }

    #[test]
    fn answers_within_their_size_are_read_whatever_the_pieces() {
        let size = ANSWERS.len() as u64;
        for piece in 1..=ANSWERS.len() {
            assert_eq!(read(ANSWERS, piece, size, 12), Ok(()), "{piece}");
            assert_eq!(read(ANSWERS, piece, size, 11), Err(Excess), "{piece}");
            assert_eq!(read(ANSWERS, piece, size - 1, 12), Err(Excess), "{piece}");
        }
    }

    #[test]
    fn an_announced_length_is_refused_before_it_comes() {
        for answer in ["$1000\r\n", "$99999999999999999999999\r\n", "*11\r\n", "*2147483647\r\n", "%", ">", "H"] {
            assert_eq!(read(answer.as_bytes(), 1, 900, 10), Err(Excess), "{answer:?}");
        }
        let endless = [b"+".as_slice(), &b"x".repeat(LONGEST_LINE + 1)].concat();
        assert_eq!(read(&endless, 100, 1 << 20, 10), Err(Excess));
        let nested = b"*1\r\n".repeat(11);
        assert_eq!(read(&nested, 3, 900, 10), Err(Excess));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_guard_read_more_than_the_budget(answer in prop::collection::vec(
            prop::sample::select(b"$*+-:0123456789\r\nx".to_vec()), 0..200)) {
            let whole = read(&answer, 200, 100, 5);
            prop_assert_eq!(&read(&answer, 1, 100, 5).is_ok(), &whole.is_ok());
            prop_assert!(whole.is_err() || answer.len() <= 100);
        }
    }
}
