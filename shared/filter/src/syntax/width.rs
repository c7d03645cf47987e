//! How many characters an expression matches: Python only accepts look-behind of fixed width.

use super::Node;

/// A capturing group that was read, or is being read.
pub(super) struct Group {
    /// `None` while it is open.
    pub(super) width: Option<Width>,
    /// Whether it is inside of a negative look-around that has ended. The text that it captures then depends on the
    /// version of Python.
    pub(super) is_hidden: bool,
}

/// The smallest and the largest number of characters. They are capped, so that sums do not overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Width {
    pub(crate) least: u64,
    pub(crate) most: u64,
}

/// The value for "any number".
const ANY: u64 = u32::MAX as u64;

impl Width {
    const NONE: Self = Self::exactly(0);

    const fn exactly(width: u64) -> Self {
        Self { least: width, most: width }
    }

    fn plus(self, other: Self) -> Self {
        Self { least: (self.least + other.least).min(ANY - 1), most: (self.most + other.most).min(ANY) }
    }

    fn or(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }
}

impl Node {
    /// The width of the text that the node matches, given the groups that were read.
    pub(super) fn width(&self, groups: &[Group]) -> Width {
        match self {
            Self::Empty | Self::Assert(_) | Self::Look { .. } => Width::NONE,
            Self::Char(_) | Self::Set(_) => Width::exactly(1),
            Self::Concat(parts) => parts.iter().fold(Width::NONE, |sum, part| sum.plus(part.width(groups))),
            Self::Alternatives(parts) => {
                let widths = parts.iter().map(|part| part.width(groups));
                widths.reduce(Width::or).unwrap_or(Width::NONE)
            }
            Self::Group { inner, .. } | Self::Atomic(inner) => inner.width(groups),
            Self::Repeat { inner, least, most, .. } => {
                let one = inner.width(groups);
                let most = most.map_or(ANY, u64::from);
                let times = |width: u64, count: u64| width.saturating_mul(count);
                Width { least: times(one.least, (*least).into()).min(ANY - 1), most: times(one.most, most).min(ANY) }
            }
            Self::Reference { group, .. } => {
                let group = group.checked_sub(1).and_then(|at| groups.get(at));
                group.and_then(|group| group.width).unwrap_or(Width::NONE)
            }
            Self::IfGroup { yes, no, .. } => yes.width(groups).or(no.width(groups)),
        }
    }

    /// Whether it may match the empty text. References and conditions always count as such, because their text is
    /// unknown.
    pub(crate) fn may_be_empty(&self) -> bool {
        self.width(&[]).least == 0
    }
}
