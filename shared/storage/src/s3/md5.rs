//! When the etag of an object of S3 is the MD5 of its bytes.

use http::{HeaderMap, header};

use crate::cloud::bare_etag;

/// The MD5 of an object's bytes. `None` for a multipart upload, whose etag ends in the number of its parts, and for an
/// object that is encrypted with a KMS key or a key of its writer: their etags are other digests.
pub(super) fn of(headers: &HeaderMap) -> Option<[u8; 16]> {
    let kms = headers.get("x-amz-server-side-encryption").is_some_and(|value| value.as_bytes().starts_with(b"aws:kms"));
    if kms || headers.contains_key("x-amz-server-side-encryption-customer-algorithm") {
        return None;
    }
    let etag = headers.get(header::ETAG)?.to_str().ok().and_then(bare_etag)?;
    let is_digest = etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit());
    let digest = u128::from_str_radix(&etag, 16).ok().filter(|_| is_digest)?;
    Some(digest.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn md5(etag: &str, encryption: &[(&'static str, &str)]) -> Option<u8> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, etag.parse().unwrap());
        for (name, value) in encryption {
            headers.insert(*name, value.parse().unwrap());
        }
        of(&headers).map(|digest| digest[15])
    }

    #[test]
    fn only_the_etag_of_a_plain_upload_is_an_md5() {
        let plain = "\"000000000000000000000000000000fF\"";
        assert_eq!(md5(plain, &[]), Some(255));
        assert_eq!(md5(&format!("W/{plain}"), &[]), Some(255));
        assert_eq!(md5(plain, &[("x-amz-server-side-encryption", "AES256")]), Some(255));
        for kms in ["aws:kms", "aws:kms:dsse"] {
            assert_eq!(md5(plain, &[("x-amz-server-side-encryption", kms)]), None, "{kms}");
        }
        assert_eq!(md5(plain, &[("x-amz-server-side-encryption-customer-algorithm", "AES256")]), None);
        for other in ["\"000000000000000000000000000000ff-2\"", "\"ff\"", "\"+00000000000000000000000000000ff\"", "x"] {
            assert_eq!(md5(other, &[]), None, "{other}");
        }
    }
}
