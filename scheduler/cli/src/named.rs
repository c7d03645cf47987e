//! A storage or project on the command line: its ID or its title.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A storage or project as the user names it. A number is an ID; `title:` before a text makes it a title in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Id(i64),
    Title(String),
}

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.parse() {
            Ok(id) => Self::Id(id),
            Err(_) => Self::Title(text.strip_prefix("title:").unwrap_or(text).to_owned()),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Title(title) => write!(f, "`{}`", crate::text::escaped(title)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_an_id_and_anything_else_is_a_title() {
        let read = |text: &str| text.parse::<Named>().unwrap();
        assert_eq!(read("7"), Named::Id(7));
        assert_eq!(read("title:7"), Named::Title("7".to_owned()));
        assert_eq!(read("Cats & dogs"), Named::Title("Cats & dogs".to_owned()));
        assert_eq!(read("99999999999999999999"), Named::Title("99999999999999999999".to_owned()));
    }
}
