//! Names of buckets as people paste them: in a URI, a URL, an ARN or a path. The name alone is a setting; the message says
//! what to take away and where the rest goes.

/// The parts of a pasted text.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pasted<'a> {
    /// What stands before the name, such as `s3://`.
    lead: &'a str,
    /// The name alone. Empty if the text has none.
    name: &'a str,
    /// What stands after the name: the prefix of the keys.
    prefix: &'a str,
    /// The server, if the text is a URL of a server that is not a cloud's own.
    server: Option<String>,
    /// The storage account in a URL of Azure.
    account: Option<&'a str>,
    /// Whether the text is the ARN of an access point, which does not show the bucket.
    is_access_point: bool,
}

/// What to change about a text that is more than a name; `None` if it is no URI, URL, ARN or path. `what` is the word for the
/// setting: bucket or container. `endpoint` is the name of the setting that holds a server, if the kind has one.
pub(crate) fn message(text: &str, what: &str, endpoint: Option<&str>) -> Option<String> {
    let text = text.trim();
    let pasted = read(text)?;
    let mut steps = Vec::new();
    if pasted.is_access_point {
        steps.push(format!(
            "write the alias of the access point, which ends in `-s3alias`, or the name of its {what}: `{}` is its ARN",
            shown(text)
        ));
    } else if pasted.name.is_empty() {
        steps.push(format!("write the name alone of the {what}, which `{}` does not show", shown(text)));
    } else {
        steps.push(format!("write the name alone of the {what}: `{}`", shown(pasted.name)));
    }
    if !pasted.lead.is_empty() {
        steps.push(format!("take `{}` away", shown(pasted.lead)));
    }
    match pasted.prefix {
        "" => {}
        prefix if prefix.trim_matches('/').is_empty() => steps.push("take the slash at the end away".to_owned()),
        prefix => steps.push(format!("put `{}` into `prefix`", shown(prefix.trim_start_matches('/')))),
    }
    if let (Some(server), Some(setting)) = (&pasted.server, endpoint) {
        steps.push(format!("put `{}` into `{setting}`", shown(server)));
    }
    if let Some(account) = pasted.account {
        steps.push(format!("put `{}` into `account_name`", shown(account)));
    }
    Some(steps.join("; "))
}

/// The prefix in a URI, URL or ARN that holds a bucket; `None` if the text is none.
pub fn pasted_prefix(text: &str) -> Option<&str> {
    let text = text.trim();
    let is_pasted = text.contains("://") || text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("arn:"));
    is_pasted.then(|| read(text))?.map(|pasted| pasted.prefix.trim_start_matches('/'))
}

/// At most 200 characters of a text of the user.
fn shown(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

fn read(text: &str) -> Option<Pasted<'_>> {
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("arn:")) {
        return Some(arn(text));
    }
    // A query may hold a signature.
    let before_query = |url: &'_ str| url.find(['?', '#']).unwrap_or(url.len());
    let Some((scheme, rest)) = text.split_once("://") else {
        let is_url = is_of_cloud(cut(text).0);
        return if is_url { Some(url(text, 0, &text[..before_query(text)])) } else { path(text) };
    };
    let rest = &rest[..before_query(rest)];
    let scheme_length = scheme.len() + "://".len();
    if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") {
        return Some(url(text, scheme_length, rest));
    }
    let (host, prefix) = cut(rest);
    // `abfss://container@account.dfs.core.windows.net/prefix`
    let (name, account) = match host.split_once('@') {
        Some((container, server)) => (container, server.split('.').next()),
        None => (host, None),
    };
    Some(Pasted { lead: &text[..scheme_length], name, prefix: trimmed(prefix), account, ..Pasted::default() })
}

/// A name and the rest after its first slash, which the rest keeps.
fn cut(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

/// A prefix without the `*` that policies and globs have at its end.
fn trimmed(prefix: &str) -> &str {
    prefix.trim_end_matches('*')
}

/// `arn:aws:s3:::name/prefix/*`
fn arn(text: &str) -> Pasted<'_> {
    let resource = text.splitn(6, ':').nth(5).unwrap_or_default();
    let lead = &text[..text.len() - resource.len()];
    let (name, prefix) = cut(resource);
    if resource.starts_with("accesspoint") {
        return Pasted { is_access_point: true, ..Pasted::default() };
    }
    let name = if lead.contains(":s3:::") { name } else { "" };
    Pasted { lead: if name.is_empty() { "" } else { lead }, name, prefix: trimmed(prefix), ..Pasted::default() }
}

/// `name/prefix`, also with backslashes.
fn path(text: &str) -> Option<Pasted<'_>> {
    let start = text.len() - text.trim_start_matches(['/', '\\', '.']).len();
    let rest = &text[start..];
    let end = rest.find(['/', '\\']);
    let has_lead = text.starts_with(['/', '\\']) || text.starts_with("./");
    if end.is_none() && !has_lead {
        return None;
    }
    let (name, prefix) = rest.split_at(end.unwrap_or(rest.len()));
    let lead = if has_lead { &text[..start] } else { "" };
    Some(Pasted { lead, name, prefix: trimmed(prefix), ..Pasted::default() })
}

/// Domains below which clouds serve buckets.
const CLOUDS: [&str; 6] = [
    "amazonaws.com",
    "amazonaws.com.cn",
    "storage.googleapis.com",
    "storage.cloud.google.com",
    "core.windows.net",
    "core.chinacloudapi.cn",
];

/// Whether a host is one of a cloud. Without a scheme before it, another one may be the name of a bucket.
fn is_of_cloud(host: &str) -> bool {
    CLOUDS.iter().any(|cloud| host == *cloud || host.strip_suffix(cloud).is_some_and(|start| start.ends_with('.')))
}

/// A URL of a bucket, of an object or of a cloud's console.
fn url<'a>(text: &'a str, scheme_length: usize, rest: &'a str) -> Pasted<'a> {
    let (host, path) = cut(rest);
    let is_below = |domain: &str| host.strip_suffix(domain).is_some_and(|start| start.ends_with('.'));
    // The host begins with the bucket.
    let of_host = |name: &'a str| {
        let lead = &text[..scheme_length];
        Pasted { lead, name, prefix: trimmed(path), ..Pasted::default() }
    };
    // The path begins with the bucket, after `skipped` segments.
    let of_path = |skipped: usize| {
        let mut path = path;
        for _ in 0..skipped {
            path = cut(path.trim_start_matches('/')).1;
        }
        let tail = path.trim_start_matches('/');
        let (name, prefix) = cut(tail);
        let lead_length = scheme_length + rest.len() - tail.len();
        let lead = if name.is_empty() { "" } else { &text[..lead_length] };
        Pasted { lead, name, prefix: trimmed(prefix), ..Pasted::default() }
    };
    if is_below("console.aws.amazon.com") || is_below("console.amazonaws.cn") {
        return of_path(2);
    }
    if host == "console.cloud.google.com" {
        return of_path(2);
    }
    if is_below("amazonaws.com") || is_below("amazonaws.com.cn") {
        return match host.find(".s3.").or_else(|| host.find(".s3-")) {
            Some(end) => of_host(&host[..end]),
            None => of_path(0),
        };
    }
    if let Some(name) = host.strip_suffix(".storage.googleapis.com") {
        return of_host(name);
    }
    // JSON API of Google: `/storage/v1/b/<bucket>/o/<object>`.
    if is_below("googleapis.com") && path.starts_with("/storage/v1/b/") {
        return of_path(3);
    }
    if is_below("core.windows.net") || is_below("core.chinacloudapi.cn") {
        return Pasted { account: host.split('.').next(), ..of_path(0) };
    }
    // Other stores, which have the bucket in the host as Amazon has.
    let service = [".s3.", ".s3-", ".oss-", ".cos.", ".obs."].iter().find_map(|service| host.find(service));
    let service = service
        .or_else(|| host.find('.').filter(|_| is_below("digitaloceanspaces.com") && host.matches('.').count() == 3));
    if let Some(end) = service {
        let server = format!("{}{}", &text[..scheme_length], &host[end + 1..]);
        return Pasted { server: Some(server), ..of_host(&host[..end]) };
    }
    let is_cloud = host.ends_with("googleapis.com") || host.ends_with("cloud.google.com");
    let has_user = host.contains('@');
    let server = (!is_cloud && !has_user).then(|| text[..scheme_length + host.len()].to_owned());
    Pasted { server, ..of_path(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_to_take_away_and_where_the_rest_goes() {
        for (text, message) in [
            ("s3://pets", "`pets`; take `s3://` away"),
            ("S3A://pets/", "`pets`; take `S3A://` away; take the slash at the end away"),
            ("s3://pets/images/", "`pets`; take `s3://` away; put `images/` into `prefix`"),
            ("gs://pets/a/b/*", "`pets`; take `gs://` away; put `a/b/` into `prefix`"),
            ("pets/images", "`pets`; put `images` into `prefix`"),
            ("pets/", "`pets`; take the slash at the end away"),
            ("/pets", "`pets`; take `/` away"),
            (r"pets\images", r"`pets`; put `\images` into `prefix`"),
            ("arn:aws:s3:::pets", "`pets`; take `arn:aws:s3:::` away"),
            ("arn:aws-cn:s3:::pets/a/*", "`pets`; take `arn:aws-cn:s3:::` away; put `a/` into `prefix`"),
            ("https://pets.s3.amazonaws.com", "`pets`; take `https://` away"),
            (
                "https://pets.x.s3.eu-west-1.amazonaws.com/a/b.jpg",
                "`pets.x`; take `https://` away; put `a/b.jpg` into `prefix`",
            ),
            (
                "https://s3.eu-west-1.amazonaws.com/pets/a",
                "`pets`; take `https://s3.eu-west-1.amazonaws.com/` away; put `a` into `prefix`",
            ),
            (
                "https://s3.console.aws.amazon.com/s3/buckets/pets?prefix=a/",
                "`pets`; take `https://s3.console.aws.amazon.com/s3/buckets/` away",
            ),
            (
                "https://console.cloud.google.com/storage/browser/pets/a",
                "`pets`; take `https://console.cloud.google.com/storage/browser/` away; put `a` into `prefix`",
            ),
            ("https://storage.googleapis.com/pets", "`pets`; take `https://storage.googleapis.com/` away"),
            (
                "http://minio.lan:9000/pets/a",
                "`pets`; take `http://minio.lan:9000/` away; put `a` into `prefix`; put `http://minio.lan:9000` into `s3_endpoint`",
            ),
            (
                "https://acct.blob.core.windows.net/pets?sv=1&sig=secret",
                "`pets`; take `https://acct.blob.core.windows.net/` away; put `acct` into `account_name`",
            ),
            (
                "acct.blob.core.windows.net/pets/a",
                "`pets`; take `acct.blob.core.windows.net/` away; put `a` into `prefix`; put `acct` into `account_name`",
            ),
            ("pets.s3.amazonaws.com", "`pets`"),
            (
                "s3.eu-west-1.amazonaws.com/pets/",
                "`pets`; take `s3.eu-west-1.amazonaws.com/` away; take the slash at the end away",
            ),
            ("storage.googleapis.com/pets?x=1", "`pets`; take `storage.googleapis.com/` away"),
            (
                "https://storage.googleapis.com/storage/v1/b/pets/o/a.png",
                "`pets`; take `https://storage.googleapis.com/storage/v1/b/` away; put `o/a.png` into `prefix`",
            ),
            (
                "https://pets.nyc3.digitaloceanspaces.com/a",
                "`pets`; take `https://` away; put `a` into `prefix`; put `https://nyc3.digitaloceanspaces.com` into `s3_endpoint`",
            ),
            (
                "https://pets.s3.us-west-004.backblazeb2.com",
                "`pets`; take `https://` away; put `https://s3.us-west-004.backblazeb2.com` into `s3_endpoint`",
            ),
            ("azure-blob://pets/a/", "`pets`; take `azure-blob://` away; put `a/` into `prefix`"),
            (
                "abfss://pets@acct.dfs.core.windows.net/a",
                "`pets`; take `abfss://` away; put `a` into `prefix`; put `acct` into `account_name`",
            ),
        ] {
            let expected = format!("write the name alone of the bucket: {message}");
            assert_eq!(super::message(text, "bucket", Some("s3_endpoint")).as_deref(), Some(&*expected), "{text}");
        }
        let server = message("https://minio.lan", "bucket", Some("s3_endpoint")).unwrap();
        assert!(
            server.contains("does not show") && server.ends_with("put `https://minio.lan` into `s3_endpoint`"),
            "{server}"
        );
        for arn in ["arn:aws:s3:eu-west-1:123456789012:accesspoint/p", "arn:aws-cn:s3:cn-north-1:1:accesspoint:p"] {
            let point = message(arn, "bucket", None).unwrap();
            assert!(point.contains("`-s3alias`") && point.contains(arn), "{point}");
        }
        let outpost = message("arn:aws:s3-outposts:us-west-2:1:outpost/o/bucket/b", "bucket", None).unwrap();
        assert!(outpost.contains("does not show"), "{outpost}");
    }

    #[test]
    fn a_name_alone_is_not_taken_for_more() {
        for name in ["", "pets", "pets.example.com", "a_b", "PETS", "..", "ärger", "$web"] {
            assert_eq!(message(name, "bucket", None), None, "{name}");
        }
    }
}
