//! Virtual hosts: `bucket.localhost` names a bucket; on every other host the path names it.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

const DOMAIN: &str = "localhost";

/// The bucket that a host names, if any.
pub(super) fn bucket(host: &str) -> Option<&str> {
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix(DOMAIN)?.strip_suffix('.').filter(|bucket| !bucket.is_empty())
}

/// Accepts hosts of both styles.
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let all = VirtualHost::new(DOMAIN);
        Ok(match bucket(host) {
            Some(bucket) => all.with_bucket(bucket),
            None => all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subdomain_of_localhost_names_a_bucket() {
        assert_eq!(bucket("pics.localhost:9000"), Some("pics"));
        assert_eq!(bucket("a.b.localhost"), Some("a.b"));
        for host in ["localhost", "localhost:9000", "127.0.0.1:9000", ".localhost", "pics.example.com", ""] {
            assert_eq!(bucket(host), None, "{host}");
        }
    }
}
