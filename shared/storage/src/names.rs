//! What the clouds accept as names, as regular expressions. They are constants, and `regex` takes time in proportion to
//! the text, whatever its content.

use std::sync::LazyLock;

use regex::Regex;

/// S3: 3 to 63 characters, no two dots in a row (Amazon's "bucket naming rules"). [`is_aws_bucket`] checks the dots.
static AWS_BUCKET: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"));
/// GCS: 3 to 222 characters (Google's "bucket naming requirements").
static GCS_BUCKET: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$"));
/// Azure: single hyphens between letters and digits (Microsoft's "naming containers"). [`is_azure_container`] checks the
/// length.
static AZURE_CONTAINER: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z0-9]+(-[a-z0-9]+)*$"));
/// Azure: 3 to 24 characters (Microsoft's "storage account name").
static AZURE_ACCOUNT: LazyLock<Regex> = LazyLock::new(|| pattern("^[a-z0-9]{3,24}$"));
/// `arn:<partition>:iam::<account>:role/<path/><name>`; the group is path and name (AWS's "IAM identifiers").
static ROLE_ARN: LazyLock<Regex> = LazyLock::new(|| {
    pattern("^arn:aws(?:-[A-Za-z0-9_+=,.@-]*)?:iam::[0-9]{12}:role/((?:[!-~]*/)?[A-Za-z0-9_+=,.@-]+)$")
});
/// The characters of an external ID (AWS's `AssumeRole`). [`is_external_id`] checks the length.
static EXTERNAL_ID: LazyLock<Regex> = LazyLock::new(|| pattern("^[A-Za-z0-9_+=,.@:/-]+$"));
/// A host name in the operator's list of allowed endpoints, with the underscores that container networks use.
static HOST: LazyLock<Regex> = LazyLock::new(|| pattern("^[A-Za-z0-9._-]+$"));

fn pattern(text: &'static str) -> Regex {
    Regex::new(text).expect("each expression is a constant that a test compiles")
}

/// Whether AWS allows a bucket of this name.
pub(crate) fn is_aws_bucket(name: &str) -> bool {
    AWS_BUCKET.is_match(name) && !name.contains("..")
}

/// Whether GCS allows a bucket of this name.
pub(crate) fn is_gcs_bucket(name: &str) -> bool {
    GCS_BUCKET.is_match(name)
}

/// Whether Azure allows a container of this name. Its special containers (`$web`) are not among them.
pub(crate) fn is_azure_container(name: &str) -> bool {
    (3..=63).contains(&name.len()) && AZURE_CONTAINER.is_match(name)
}

/// Whether Azure allows a storage account of this name.
pub(crate) fn is_azure_account(name: &str) -> bool {
    AZURE_ACCOUNT.is_match(name)
}

/// Whether this is the ARN of an IAM role. Path and name have at most 577 characters: 512 of the path with its first
/// slash, which ends `role/` here, and 64 of the name.
pub(crate) fn is_role_arn(text: &str) -> bool {
    ROLE_ARN.captures(text).is_some_and(|captures| captures[1].len() <= 577)
}

/// Whether `AssumeRole` accepts this external ID: 2 to 1,224 characters.
pub(crate) fn is_external_id(text: &str) -> bool {
    (2..=1_224).contains(&text.len()) && EXTERNAL_ID.is_match(text)
}

/// Whether this can be a host name.
pub(crate) fn is_host(name: &str) -> bool {
    HOST.is_match(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Accepts = fn(&str) -> bool;

    #[test]
    fn each_cloud_accepts_the_names_that_it_documents_and_no_others() {
        let longest = |length: usize| "a".repeat(length);
        let cases: [(Accepts, &[&str], &[&str]); 5] = [
            (
                is_aws_bucket,
                &["abc", "a.b-c", "0a0", &longest(63)],
                &["ab", "A-b", "a..b", ".ab", "ab-", "a_b", "abc\n", &longest(64)],
            ),
            (is_gcs_bucket, &["abc", "a_b", "a..b", &longest(222)], &["ab", "_ab", "ab.", "aBc", "a b", &longest(223)]),
            (
                is_azure_container,
                &["abc", "a-b-c", &longest(63)],
                &["ab", "a--b", "-ab", "ab-", "a.b", "ABC", &longest(64)],
            ),
            (is_azure_account, &["abc", "0123456789", &longest(24)], &["ab", "a-b", "Abc", "äbc", &longest(25)]),
            (is_host, &["store", "my_store.example.com"], &["", "a b", "a/b", "ä"]),
        ];
        for (accepts, valid, invalid) in cases {
            for name in valid {
                assert!(accepts(name), "{name:?}");
            }
            for name in invalid {
                assert!(!accepts(name), "{name:?}");
            }
        }
    }

    #[test]
    fn an_arn_names_a_role_of_an_account() {
        let arn = |role: &str| format!("arn:aws:iam::123456789012:role/{role}");
        let china = "arn:aws-cn:iam::123456789012:role/longshore";
        for valid in
            [&*arn("longshore"), &*arn("team/sync/longshore"), &*arn("a+b=c,d.e@f-g_h"), &*arn(&"r".repeat(577)), china]
        {
            assert!(is_role_arn(valid), "{valid}");
        }
        for invalid in [
            &*arn(""),
            &*arn("team/"),
            &*arn("long shore"),
            &*arn("te am/longshore"),
            &*arn("longshore\n"),
            &*arn(&"r".repeat(578)),
            "arn:aws:iam::12345678901:role/longshore",
            "arn:aws:iam:eu-west-1:123456789012:role/longshore",
            "arn:aws:iam::123456789012:user/longshore",
            "arn:amazon:iam::123456789012:role/longshore",
        ] {
            assert!(!is_role_arn(invalid), "{invalid}");
        }
    }

    #[test]
    fn an_external_id_has_2_to_1224_characters() {
        for valid in ["ab", "team:eu/1", &*"x".repeat(1_224)] {
            assert!(is_external_id(valid), "{valid}");
        }
        for invalid in ["", "a", "a b", "a\n", "a;b", &*"x".repeat(1_225)] {
            assert!(!is_external_id(invalid), "{invalid}");
        }
    }
}
