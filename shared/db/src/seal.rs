//! Encrypts the secrets of storages with AES-256-GCM, bound to their row, with a key ID for rotation. Also signs texts,
//! with keys that are derived from the same keys.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use longshore_model::Secret;
use sha2::Sha256;

use crate::{Error, Result};

/// Bytes of a random nonce; NIST SP 800-38D recommends 96 bits for GCM.
const NONCE_BYTES: usize = 12;

/// The purpose from which the key for signatures is derived, so that it differs from the key that seals.
const SIGNATURES: &[u8] = b"longshore signatures 1";

/// Seals and opens the secret fields of storages, and signs texts.
#[derive(Clone)]
pub struct Sealer {
    keys: Arc<[Key]>,
}

struct Key {
    id: String,
    cipher: Aes256Gcm,
    signer: Hmac<Sha256>,
}

impl Key {
    /// `None` unless `bytes` has 32 bytes.
    fn new(id: &str, bytes: &[u8]) -> Option<Self> {
        let cipher = Aes256Gcm::new_from_slice(bytes).ok()?;
        let derived = Hmac::<Sha256>::new_from_slice(bytes).ok()?.chain_update(SIGNATURES).finalize();
        let signer = Hmac::new_from_slice(&derived.into_bytes()).ok()?;
        Some(Self { id: id.to_owned(), cipher, signer })
    }
}

/// Encrypted secrets, as a storage's row has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    /// ID of the key that opens them.
    pub key_id: String,
    /// The nonce, then the ciphertext.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Sealer {
    /// Parses `id:base64,id:base64,…`. The first key seals; all keys open.
    ///
    /// # Errors
    /// [`Error::Seal`] if there is no key, a key is not 32 bytes in base64, or an ID is empty or repeated.
    pub fn parse(text: &Secret) -> Result<Self> {
        const SHAPE: Error = Error::Seal(
            "LONGSHORE_SECRET_KEYS must be id:key,... with a different id for each key, and 32 random bytes in base64 as \
             key; make one with: openssl rand -base64 32",
        );
        let keys = text
            .expose()
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                let (id, key) = entry.split_once(':').ok_or(SHAPE)?;
                let key = STANDARD.decode(key.trim()).map_err(|_| SHAPE)?;
                Key::new(id.trim(), &key).ok_or(SHAPE)
            })
            .collect::<Result<Vec<_>>>()?;
        // A row names its key by ID, so an ID must not have two keys.
        let ids: BTreeSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        if keys.is_empty() || ids.len() < keys.len() || ids.contains("") {
            return Err(SHAPE);
        }
        Ok(Self { keys: keys.into() })
    }

    /// ID of the key that seals.
    pub fn key_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    /// Seals a text for one row. [`Self::open`] succeeds only for the same row.
    ///
    /// # Errors
    /// [`Error::Seal`] if the text is longer than the cipher accepts, 64 GiB.
    pub fn seal(&self, row: &str, plain: &Secret) -> Result<SealedSecrets> {
        let Some(key) = self.keys.first() else { return Err(Error::Seal("there is no key to encrypt with")) };
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain.expose().as_bytes(), aad: row.as_bytes() };
        let sealed =
            key.cipher.encrypt(&nonce.into(), payload).map_err(|_| Error::Seal("the secrets cannot be encrypted"))?;
        Ok(SealedSecrets { key_id: key.id.clone(), bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// Opens a text that was sealed for the same row.
    ///
    /// # Errors
    /// [`Error::Seal`] if the key is missing, or the bytes were sealed for another row or are damaged.
    pub fn open(&self, row: &str, sealed: &SealedSecrets) -> Result<Secret> {
        let key = self.keys.iter().find(|key| key.id == sealed.key_id).ok_or(Error::Seal(
            "the storage's secrets were encrypted with a key that is not in LONGSHORE_SECRET_KEYS",
        ))?;
        let corrupt = Error::Seal("the storage's secrets cannot be decrypted: wrong key or damaged row");
        let Some((nonce, cipher_text)) = sealed.bytes.split_first_chunk::<NONCE_BYTES>() else { return Err(corrupt) };
        let payload = Payload { msg: cipher_text, aad: row.as_bytes() };
        let Ok(plain) = key.cipher.decrypt(&(*nonce).into(), payload) else { return Err(corrupt) };
        String::from_utf8(plain).map(Secret::new).map_err(|_| corrupt)
    }

    /// Signs a text. The signature proves that this deployment wrote it.
    ///
    /// # Errors
    /// [`Error::Seal`] if there is no key.
    pub fn sign(&self, text: &str) -> Result<[u8; 32]> {
        let key = self.keys.first().ok_or(Error::Seal("there is no key to sign with"))?;
        Ok(key.signer.clone().chain_update(text).finalize().into_bytes().into())
    }

    /// Whether [`Self::sign`] made this signature for the text, with any of the keys. Compares in constant time.
    pub fn has_signed(&self, text: &str, signature: &[u8]) -> bool {
        self.keys.iter().any(|key| key.signer.clone().chain_update(text).verify_slice(signature).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(ids: &[&str]) -> Sealer {
        let text = ids.iter().map(|id| format!("{id}:{}", STANDARD.encode([id.as_bytes()[0]; 32]))).collect::<Vec<_>>();
        Sealer::parse(&Secret::new(text.join(","))).unwrap()
    }

    #[test]
    fn sealed_secrets_open_only_for_their_row() {
        let sealer = sealer(&["a"]);
        let sealed = sealer.seal("storage:1", &Secret::new("hunter2")).unwrap();
        assert_eq!(sealer.open("storage:1", &sealed).unwrap().expose(), "hunter2");
        assert!(sealer.open("storage:2", &sealed).is_err());
        assert!(!sealed.bytes.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn an_older_key_still_opens_and_the_error_for_a_missing_key_names_the_setting() {
        let old = sealer(&["a"]).seal("storage:1", &Secret::new("x")).unwrap();
        assert_eq!(sealer(&["b", "a"]).open("storage:1", &old).unwrap().expose(), "x");
        let error = sealer(&["b"]).open("storage:1", &old).unwrap_err();
        assert!(error.to_string().contains("LONGSHORE_SECRET_KEYS"));
    }

    #[test]
    fn a_signature_is_valid_only_for_its_text_and_stays_valid_after_a_new_key() {
        let old = sealer(&["a"]).sign("task 1").unwrap();
        assert!(sealer(&["b", "a"]).has_signed("task 1", &old));
        for (keys, text, signature) in [
            (&["a"][..], "task 2", &old[..]),
            (&["b"], "task 1", &old),
            (&["a"], "task 1", &old[..31]),
            (&["a"], "task 1", &[]),
        ] {
            assert!(!sealer(keys).has_signed(text, signature), "{keys:?} {text}");
        }
    }

    #[test]
    fn malformed_keys_are_rejected_with_advice() {
        let key = STANDARD.encode([7; 32]);
        let (nameless, twice) = (format!(":{key}"), format!("a:{key},a:{key}"));
        for text in ["", "nokey", "a:!!!", "a:c2hvcnQ=", &nameless, &twice] {
            assert!(Sealer::parse(&Secret::new(text)).unwrap_err().to_string().contains("openssl rand"), "{text}");
        }
        assert_eq!(Sealer::parse(&Secret::new(format!("b:{key}, a:{key}"))).unwrap().key_id(), "b");
    }
}
