//! Object URIs in task data. See `README.md`.
//!
//! Task data names objects by these URIs: `s3://bucket/key`, `gs://…`, `azure-blob://…`, `redis://host:port/db/key` and
//! `/data/local-files/?d=…`. Each storage kind declares its form.
//!
//! A key is everything after the bucket, byte for byte: `?`, `#`, `%` and spaces are part of it.

mod document;
mod fileuri;
mod find;

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use longshore_model::StorageKind;
use longshore_model::kinds::{URI_FORMS, UriForm};

pub use document::{holds, rewrite, uris, visit};
pub use fileuri::{decode_fileuri, encode_fileuri};

/// The parts of a URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectUri<'a> {
    form: UriForm,
    /// The bucket or container; `host:port/db` for Redis; empty for local files, which have none.
    pub bucket: &'a str,
    /// The exact key. For a local file, its path below the operator's root.
    pub key: Cow<'a, str>,
}

impl<'a> ObjectUri<'a> {
    /// Parses a URI; `None` if the text is not a supported URI, or the key cannot exist.
    pub fn parse(uri: &'a str) -> Option<Self> {
        if uri.contains('\0') {
            return None;
        }
        let rest = |form: &UriForm| form.starts().iter().find_map(|start| uri.strip_prefix(start));
        let (form, rest) = URI_FORMS.iter().find_map(|form| Some((*form, rest(form)?)))?;
        // The bucket part of a database URI contains a slash: it is the server and the number of the database.
        let bucket_slashes = match form {
            UriForm::LocalFile => return local_path(rest).map(|key| Self { form, bucket: "", key }),
            UriForm::Bucket { .. } => 0,
            UriForm::Database { .. } => 1,
        };
        let slash = rest.match_indices('/').nth(bucket_slashes)?.0;
        let (bucket, key) = (&rest[..slash], &rest[slash + 1..]);
        (!bucket.is_empty() && !key.is_empty()).then_some(Self { form, bucket, key: Cow::Borrowed(key) })
    }

    /// The form of the URI.
    pub fn form(&self) -> UriForm {
        self.form
    }

    /// The same local file, with its path as a URI has it: with `/` for `\`, and no repeated slashes. `None` if it is so
    /// already, or is no local file. A file whose name has a `\` exists only under the first spelling.
    pub fn with_plain_path(&self) -> Option<Self> {
        let is_plain = !self.key.contains('\\') && !self.key.contains("//");
        if self.form != UriForm::LocalFile || is_plain {
            return None;
        }
        let slashed = self.key.replace('\\', "/");
        let names: Vec<&str> = slashed.split('/').filter(|name| !name.is_empty()).collect();
        (!names.is_empty()).then(|| Self { key: Cow::Owned(names.join("/")), ..self.clone() })
    }

    /// Whether storages of this kind may hold the object.
    pub fn may_be_on(&self, kind: StorageKind) -> bool {
        kind.data().uri == self.form
    }
}

/// The path in the query of a link to a local file. It is form-encoded: a `+` is a space.
pub fn local_path(query: &str) -> Option<Cow<'_, str>> {
    let query = query.split('#').next().unwrap_or_default();
    let encoded = query.split('&').find_map(|pair| pair.strip_prefix("d="))?;
    let spaced = encoded.replace('+', " ");
    let path = percent_decode_str(&spaced).decode_utf8().ok()?;
    let path = path.trim_start_matches('/');
    (!path.is_empty() && !path.contains('\0')).then(|| Cow::Owned(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> Option<(String, String)> {
        ObjectUri::parse(uri).map(|uri| (uri.bucket.to_owned(), uri.key.into_owned()))
    }

    fn named(bucket: &str, key: &str) -> Option<(String, String)> {
        Some((bucket.to_owned(), key.to_owned()))
    }

    #[test]
    fn a_key_is_everything_after_the_bucket() {
        for key in ["k", "/lead", "a//b", "../x", "x?y=1&z#w", "100%25", " a ", "dir/", "quote\"'", "😀\n"] {
            for scheme in ["s3", "gs", "azure-blob"] {
                assert_eq!(parsed(&format!("{scheme}://b/{key}")), named("b", key));
            }
        }
        for other in ["", "s3://", "s3://b", "s3://b/", "s3:///k", "S3://b/k", "http://b/k", " s3://b/k", "s3://b/\0"] {
            assert_eq!(parsed(other), None, "{other:?}");
        }
    }

    #[test]
    fn the_path_of_a_local_file_may_have_backslashes_and_repeated_slashes() {
        let plain = |uri: &str| ObjectUri::parse(uri).unwrap().with_plain_path().map(|uri| uri.key.into_owned());
        for path in ["set%5C1.png", "set//1.png", "%5Cset%5C%5C1.png", "set/%5C/1.png"] {
            assert_eq!(plain(&format!("/data/local-files/?d={path}")).as_deref(), Some("set/1.png"), "{path}");
        }
        assert_eq!(plain("/data/local-files/?d=set/1.png"), None);
        assert_eq!(plain("/data/local-files/?d=%5C%5C"), None);
        assert_eq!(plain("s3://b/a//b"), None, "keys of object storages are exact");
    }

    #[test]
    fn a_value_of_redis_is_named_by_server_database_and_key() {
        assert_eq!(parsed("redis://h:6379/0/a/b"), named("h:6379/0", "a/b"));
        assert_eq!(parsed("redis://[::1]:1/12//k"), named("[::1]:1/12", "/k"));
        assert_eq!([parsed("redis://h:6379/0"), parsed("redis://h:6379/0/"), parsed("redis://k")], [None, None, None]);
    }

    #[test]
    fn a_local_file_is_named_by_its_path_below_the_root() {
        for (uri, path) in [
            ("/data/local-files/?d=set/a%20b%2B%23.jpg", "set/a b+#.jpg"),
            ("/data/local-files?d=set/a+b.jpg", "set/a b.jpg"),
            ("/data/local-files/?x=1&d=//set/%C3%A9.jpg&y=2#top", "set/é.jpg"),
        ] {
            assert_eq!(parsed(uri), named("", path), "{uri}");
            assert!(ObjectUri::parse(uri).unwrap().may_be_on(StorageKind::Localfiles));
        }
        for other in
            ["/data/local-files/", "/data/local-files/?d=", "/data/local-files/?d=%ff", "/data/local-files/?d=%00"]
        {
            assert_eq!(parsed(other), None, "{other}");
        }
    }
}
