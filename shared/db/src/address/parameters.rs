//! The parameters of a database URL that the driver does not know: those about certificates.
//!
//! The driver refuses a URL with them, although they are in every URL that a provider shows. So they are taken out of
//! the text before the driver parses it.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use super::invalid::InvalidAddress;

/// A URL, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parameters {
    /// The text without these parameters.
    pub(super) rest: String,
    pub(super) sslmode: Option<String>,
    pub(super) sslrootcert: Option<String>,
    pub(super) sslcert: Option<String>,
    pub(super) sslkey: Option<String>,
}

/// What the driver knows, and what libpq knows beyond. Only these names are quoted in messages: in a malformed text,
/// part of the password may stand where a name should.
const KNOWN: [&str; 12] = [
    "sslcrl",
    "sslcrldir",
    "sslpassword",
    "sslsni",
    "sslcompression",
    "gssencmode",
    "krbsrvname",
    "passfile",
    "service",
    "require_auth",
    "ssl_min_protocol_version",
    "client_encoding",
];

impl Parameters {
    /// Takes the parameters out of a URL, or out of `key=value` pairs.
    pub(super) fn split(text: &str) -> Result<Self, InvalidAddress> {
        match ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            true => Self::of_url(text),
            false => Self::of_pairs(text),
        }
    }

    fn of_url(text: &str) -> Result<Self, InvalidAddress> {
        // As in the driver: user and password end at the first `@`, and may have a `?`.
        let host = text.find('@').unwrap_or_default();
        // The rest of a password with `@` would be taken for the host, and shown as such.
        if text[host..].matches('@').nth(1).is_some() {
            return Err(InvalidAddress::new("has more than one @: write %40 for each @ in the password".to_owned()));
        }
        let Some(query) = text[host..].find('?').map(|at| host + at) else {
            return Ok(Self { rest: text.to_owned(), ..Self::default() });
        };
        let mut parameters = Self { rest: text[..query].to_owned(), ..Self::default() };
        let mut separator = '?';
        for pair in text[query + 1..].split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if !parameters.take(&decoded(name)?, &decoded(value)?) {
                parameters.rest.push(separator);
                parameters.rest.push_str(pair);
                separator = '&';
            }
        }
        Ok(parameters)
    }

    fn of_pairs(text: &str) -> Result<Self, InvalidAddress> {
        let mut parameters = Self::default();
        let mut left = text.trim_start();
        while !left.is_empty() {
            let (name, after) = left.split_once('=').ok_or_else(malformed)?;
            let after = after.trim_start();
            let length = value_length(after).ok_or_else(malformed)?;
            let (raw, following) = after.split_at(length);
            if !parameters.take(name.trim(), &unquoted(raw)) {
                parameters.rest.push_str(&format!("{}={raw} ", name.trim()));
            }
            left = following.trim_start();
        }
        Ok(parameters)
    }

    /// Takes a parameter, if it is one of these.
    fn take(&mut self, name: &str, value: &str) -> bool {
        let slot = match name {
            "sslmode" => &mut self.sslmode,
            "sslrootcert" => &mut self.sslrootcert,
            "sslcert" => &mut self.sslcert,
            "sslkey" => &mut self.sslkey,
            _ => return false,
        };
        // As in libpq, an empty value is none.
        *slot = Some(value.to_owned()).filter(|value| !value.is_empty());
        true
    }
}

/// The bytes of a value: up to the next blank, or up to the closing quote. A backslash takes the next character as it
/// is.
fn value_length(text: &str) -> Option<usize> {
    let is_quoted = text.starts_with('\'');
    let mut characters = text.char_indices().skip(usize::from(is_quoted));
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => drop(characters.next()?),
            '\'' if is_quoted => return Some(at + 1),
            blank if !is_quoted && blank.is_whitespace() => return Some(at),
            _ => {}
        }
    }
    (!is_quoted && !text.is_empty()).then_some(text.len())
}

fn unquoted(raw: &str) -> String {
    let inner = raw.strip_prefix('\'').and_then(|raw| raw.strip_suffix('\'')).unwrap_or(raw);
    let mut characters = inner.chars();
    let mut value = String::new();
    while let Some(character) = characters.next() {
        value.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    value
}

fn decoded(text: &str) -> Result<Cow<'_, str>, InvalidAddress> {
    percent_decode_str(text).decode_utf8().map_err(|_| malformed())
}

fn malformed() -> InvalidAddress {
    InvalidAddress::new("must be postgres://user:password@host:5432/database".to_owned())
}

/// Explains why the driver refused a text, without quoting anything that may be a part of the password.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(super) fn explain(error: tokio_postgres::Error) -> InvalidAddress {
    let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    let is_name = |name: &&&str| reason == format!("unknown option `{name}`");
    if let Some(name) = KNOWN.iter().find(is_name) {
        return InvalidAddress::new(format!("has {name}, which is not supported: remove it"));
    }
    if reason.starts_with("unknown option") {
        return InvalidAddress::new("has an unknown parameter: see the documentation of DATABASE_URL".to_owned());
    }
    // These texts name the option and not its value.
    if reason.starts_with("invalid value for option") {
        return InvalidAddress::new(format!("has an {reason}"));
    }
    malformed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_about_certificates_are_taken_out_of_a_url() {
        let url = "postgres://u:p%3F@h1,h2:6000/d?sslmode=verify-ca&target_session_attrs=read-write&sslrootcert=%2Fca%20x.pem";
        let split = Parameters::split(url).unwrap();
        assert_eq!(split.rest, "postgres://u:p%3F@h1,h2:6000/d?target_session_attrs=read-write");
        assert_eq!((split.sslmode.as_deref(), split.sslrootcert.as_deref()), (Some("verify-ca"), Some("/ca x.pem")));
        // The driver's parser lets a password have a question mark.
        assert_eq!(Parameters::split("postgres://u:a?sslmode=b@h").unwrap().rest, "postgres://u:a?sslmode=b@h");
    }

    #[test]
    fn parameters_about_certificates_are_taken_out_of_pairs() {
        let text = r"host = db user=u password='a \' sslmode=x' sslmode=verify-full sslrootcert='/ca x.pem' port=5";
        let split = Parameters::split(text).unwrap();
        assert_eq!(split.rest, r"host=db user=u password='a \' sslmode=x' port=5 ");
        assert_eq!((split.sslmode.as_deref(), split.sslrootcert.as_deref()), (Some("verify-full"), Some("/ca x.pem")));
        for malformed in ["hunter2", "password='hunter2", "password=", r"password=a\"] {
            assert!(!Parameters::split(malformed).unwrap_err().to_string().contains("hunter2"), "{malformed}");
        }
    }
}
