//! The first token, which must be hard to guess: it gives access to everything.

use longshore_model::Secret;
use longshore_telemetry::settings::{Environment, table};

/// Minimum length in characters. Tokens that the API creates have 40.
const MIN_LENGTH: usize = 16;

/// The least number of guesses, as a power of ten, that a token must need by the estimate. 16 random hexadecimal digits
/// need about 15. Words with digits and repeated or typed patterns need fewer than 12; a token that is a passphrase of
/// four random words needs more.
const MIN_GUESSES_LOG10: f64 = 12.0;

/// Characters that the estimate reads: it takes a hundredth of a second for this many, and much longer for more.
const ESTIMATED_CHARS: usize = 72;

/// Words that an attacker who knows Longshore would try.
const OWN_WORDS: &[&str] = &["longshore", "bootstrap", "label", "studio", "token", "admin", "scheduler", "secret"];

/// Reads the first token.
pub(super) fn first_token(read: &mut Environment<'_>) -> Secret {
    let token = read.text(&table::TOKEN).unwrap_or_default();
    if !token.is_empty()
        && let Err(fault) = check(&token)
    {
        read.fault(&table::TOKEN, format!("{fault} (make one with: openssl rand -hex 20)"));
    }
    Secret::new(token)
}

/// Whether a token is long enough and hard to guess. The error completes a sentence that begins with the setting's name.
fn check(token: &str) -> Result<(), String> {
    if token.len() < MIN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("must be {MIN_LENGTH} or more printable characters without spaces"));
    }
    let start = &token[..token.len().min(ESTIMATED_CHARS)];
    if zxcvbn::zxcvbn(start, OWN_WORDS).guesses_log10() < MIN_GUESSES_LOG10 {
        let why = "is too easy to guess: it repeats characters, follows a pattern or consists of common words";
        return Err(why.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn tokens_that_are_easy_to_guess_are_refused() {
        for weak in [
            "short",
            "with a space in it",
            "aaaaaaaaaaaaaaaa",
            "abababababababababab",
            "0123456789abcdef",
            "1234567890123456",
            "abcdefghijklmnop",
            "qwertyuiopasdfgh",
            "changemechangeme",
            "ChangeMe-ChangeMe",
            "passwordpassword",
            "longshore-admin-token",
            "longshorelongshore",
            "bootstrap-token-1",
            "0000000000000000000000000000000000000000",
            "deadbeefdeadbeefdeadbeef",
            "P@ssw0rdP@ssw0rd",
            "admin-2026-11-26",
            "0123456789abcdef0123456789abcdef01234567",
        ] {
            assert!(check(weak).is_err(), "{weak}");
        }
    }

    #[test]
    fn random_tokens_of_every_common_form_are_accepted() {
        for seed in 0..200_u32 {
            let random = Sha256::digest(seed.to_be_bytes());
            let hex: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
            for length in [16, 20, 32, 40, 64] {
                assert!(check(&hex[..length]).is_ok(), "{}", &hex[..length]);
            }
            let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, random);
            assert!(check(&base64).is_ok() && check(&base64[..16]).is_ok(), "{base64}");
        }
        assert!(check("correct-horse-battery-staple-velvet").is_ok());
        assert!(check(&"0f9c1a7be2d840619".repeat(1_000)).is_ok(), "a long token takes no longer");
    }
}
