//! Notices that a listing goes round in a circle.

/// The tokens of a listing, of which few are kept.
///
/// A server that comes back to a token comes back to all that follow it, so it is enough to remember one token at a time,
/// each for twice as many steps as the one before it: Brent's method.
#[derive(Debug, Default)]
pub(crate) struct Circle {
    kept: Option<String>,
    steps: u64,
    most_steps: u64,
}

impl Circle {
    /// Whether the listing came back to a token. A circle of `n` tokens is noticed within `3 n` steps.
    pub(crate) fn is_closed_by(&mut self, token: &str) -> bool {
        if self.kept.as_deref() == Some(token) {
            return true;
        }
        if self.steps == self.most_steps {
            self.kept = Some(token.to_owned());
            self.most_steps = (self.most_steps * 2).max(1);
            self.steps = 0;
        }
        self.steps += 1;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_is_noticed_wherever_it_begins_and_however_long_it_is() {
        for (lead, length) in [(0, 1), (0, 2), (1, 1), (5, 3), (100, 7), (3, 1_000)] {
            let mut circle = Circle::default();
            let mut tokens = (0..).map(|step| if step < lead { step } else { lead + (step - lead) % length });
            let steps = tokens.position(|token: u64| circle.is_closed_by(&token.to_string())).unwrap();
            assert!(steps as u64 <= 3 * (lead + length) + 3, "{lead} {length}: {steps}");
        }
    }

    #[test]
    fn a_listing_that_goes_on_is_no_circle() {
        let mut circle = Circle::default();
        assert!(!(0..100_000).any(|token| circle.is_closed_by(&token.to_string())));
    }
}
