//! Secrets at rest: AES-256-GCM, bound to their row, with a key id for rotation. And signatures, by
//! keys that are derived from the same ones.

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

/// What the key for signatures is derived for: it never is the key that seals.
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
    /// `None` unless there are 32 bytes.
    fn new(id: &str, bytes: &[u8]) -> Option<Self> {
        let cipher = Aes256Gcm::new_from_slice(bytes).ok()?;
        let derived = Hmac::<Sha256>::new_from_slice(bytes).ok()?.chain_update(SIGNATURES).finalize();
        let signer = Hmac::new_from_slice(&derived.into_bytes()).ok()?;
        Some(Self { id: id.to_owned(), cipher, signer })
    }
}

/// What is stored: the id of the key, and nonce plus ciphertext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which of the keys opens it.
    pub key_id: String,
    /// Nonce and ciphertext.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Sealer {
    /// Reads `id:base64,id:base64,…`: the first key seals, all of them open.
    ///
    /// # Errors
    /// The text has no key, one that is not 32 bytes of base64 under an id, or two under the same id.
    pub fn parse(text: &Secret) -> Result<Self> {
        const SHAPE: Error = Error::Seal(
            "LONGSHORE_SECRET_KEYS must be id:key,... with each key 32 random bytes in base64 under an id of its own \
             (make one with: openssl rand -base64 32)",
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
        // Of two keys under one id, rows could not say which they need.
        let ids: BTreeSet<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        if keys.is_empty() || ids.len() < keys.len() || ids.contains("") {
            return Err(SHAPE);
        }
        Ok(Self { keys: keys.into() })
    }

    /// The id of the key that seals.
    pub fn key_id(&self) -> &str {
        self.keys.first().map_or("", |key| &key.id)
    }

    /// Seals a text for one row: it opens for that row alone.
    ///
    /// # Errors
    /// The cipher refuses, which it does only beyond 64 GiB.
    pub fn seal(&self, row: &str, plain: &Secret) -> Result<Sealed> {
        let Some(key) = self.keys.first() else { return Err(Error::Seal("there is no key to seal with")) };
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain.expose().as_bytes(), aad: row.as_bytes() };
        let sealed =
            key.cipher.encrypt(&nonce.into(), payload).map_err(|_| Error::Seal("the secrets cannot be sealed"))?;
        Ok(Sealed { key_id: key.id.clone(), bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// Opens what was sealed for the same row.
    ///
    /// # Errors
    /// The key is missing, or the bytes are not what was sealed.
    pub fn open(&self, row: &str, sealed: &Sealed) -> Result<Secret> {
        let key = self.keys.iter().find(|key| key.id == sealed.key_id).ok_or(Error::Seal(
            "the storage's secrets are sealed with a key that LONGSHORE_SECRET_KEYS does not hold",
        ))?;
        let corrupt = Error::Seal("the storage's secrets cannot be opened: wrong key or damaged row");
        let Some((nonce, cipher_text)) = sealed.bytes.split_first_chunk::<NONCE_BYTES>() else { return Err(corrupt) };
        let payload = Payload { msg: cipher_text, aad: row.as_bytes() };
        let Ok(plain) = key.cipher.decrypt(&(*nonce).into(), payload) else { return Err(corrupt) };
        String::from_utf8(plain).map(Secret::new).map_err(|_| corrupt)
    }

    /// Signs a text: the signature proves that this deployment wrote it.
    ///
    /// # Errors
    /// There is no key.
    pub fn sign(&self, text: &str) -> Result<[u8; 32]> {
        let key = self.keys.first().ok_or(Error::Seal("there is no key to sign with"))?;
        Ok(key.signer.clone().chain_update(text).finalize().into_bytes().into())
    }

    /// Whether [`Self::sign`] gave this signature for the text, under any of the keys. Takes as long for
    /// a wrong one.
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
    fn sealed_secrets_open_for_their_own_row_alone() {
        let sealer = sealer(&["a"]);
        let sealed = sealer.seal("storage:1", &Secret::new("hunter2")).unwrap();
        assert_eq!(sealer.open("storage:1", &sealed).unwrap().expose(), "hunter2");
        assert!(sealer.open("storage:2", &sealed).is_err());
        assert!(!sealed.bytes.windows(7).any(|window| window == b"hunter2"));
    }

    #[test]
    fn an_older_key_still_opens_and_a_missing_one_is_named() {
        let old = sealer(&["a"]).seal("storage:1", &Secret::new("x")).unwrap();
        assert_eq!(sealer(&["b", "a"]).open("storage:1", &old).unwrap().expose(), "x");
        let error = sealer(&["b"]).open("storage:1", &old).unwrap_err();
        assert!(error.to_string().contains("LONGSHORE_SECRET_KEYS"));
    }

    #[test]
    fn a_signature_is_good_for_its_text_alone_and_survives_a_new_key() {
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
    fn keys_of_the_wrong_shape_are_refused_with_advice() {
        let key = STANDARD.encode([7; 32]);
        let (nameless, twice) = (format!(":{key}"), format!("a:{key},a:{key}"));
        for text in ["", "nokey", "a:!!!", "a:c2hvcnQ=", &nameless, &twice] {
            assert!(Sealer::parse(&Secret::new(text)).unwrap_err().to_string().contains("openssl rand"), "{text}");
        }
        assert_eq!(Sealer::parse(&Secret::new(format!("b:{key}, a:{key}"))).unwrap().key_id(), "b");
    }
}
