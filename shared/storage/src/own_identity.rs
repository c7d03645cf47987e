//! Which storages may use the processes' own cloud identity.

use std::str::FromStr;

use longshore_model::{Connection, StorageKind};

/// Which storages may use the processes' own cloud identity: `LONGSHORE_OWN_IDENTITY`.
///
/// A request to save a storage is checked for its caller ([`OwnIdentity::lends_to`]), and each use for the project and the
/// bucket alone ([`OwnIdentity::permits`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnIdentity {
    /// Whether everything is allowed.
    is_open: bool,
    /// Whether what an admin of all projects saves is allowed.
    trusts_unscoped: bool,
    /// Whether every project may assume roles.
    lends_roles: bool,
    places: Vec<Place>,
}

/// A project and a bucket; `None` is any. It lends no assumption of roles.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    project: Option<i64>,
    bucket: Option<String>,
}

/// A setting of another form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use none, all, or a list of unscoped, roles and project:bucket, such as unscoped,7:photos,8:*")]
pub struct InvalidOwnIdentity;

impl FromStr for OwnIdentity {
    type Err = InvalidOwnIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidOwnIdentity> {
        let mut own = Self { is_open: false, trusts_unscoped: false, lends_roles: false, places: Vec::new() };
        match text.trim() {
            "none" => return Ok(own),
            "all" => return Ok(Self { is_open: true, ..own }),
            _ => {}
        }
        for word in text.split(',').map(str::trim) {
            match word {
                "unscoped" => own.trusts_unscoped = true,
                "roles" => own.lends_roles = true,
                place => own.places.push(place.parse()?),
            }
        }
        Ok(own)
    }
}

impl FromStr for Place {
    type Err = InvalidOwnIdentity;

    fn from_str(text: &str) -> Result<Self, InvalidOwnIdentity> {
        let (project, bucket) = text.split_once(':').ok_or(InvalidOwnIdentity)?;
        let project = match project.trim() {
            "*" => None,
            id => Some(id.parse().ok().filter(|id| *id > 0).ok_or(InvalidOwnIdentity)?),
        };
        match bucket.trim() {
            "" => Err(InvalidOwnIdentity),
            "*" => Ok(Self { project, bucket: None }),
            bucket => Ok(Self { project, bucket: Some(bucket.to_owned()) }),
        }
    }
}

impl Default for OwnIdentity {
    /// The default of the setting.
    fn default() -> Self {
        Self { is_open: false, trusts_unscoped: true, lends_roles: false, places: Vec::new() }
    }
}

impl OwnIdentity {
    /// No storage may use the identity.
    pub fn none() -> Self {
        Self { trusts_unscoped: false, ..Self::default() }
    }

    /// Whether a storage of the project may use the identity. With `unscoped`, all that are saved may: a request that
    /// saves one was checked, and those of earlier releases keep working.
    pub fn permits(&self, project: i64, connection: &Connection) -> bool {
        self.is_open || self.trusts_unscoped || self.names(project, connection)
    }

    /// Whether a caller may save or try such a storage. `is_unscoped` says whether the caller may access all projects.
    ///
    /// A listed bucket is one of the cloud. At an endpoint that a user names, a server could send the signed requests to
    /// another one, so there only an admin of all projects is trusted. For a role the endpoint does not matter: requests
    /// to it are signed with credentials that are good for that role only.
    pub fn lends_to(&self, is_unscoped: bool, project: i64, connection: &Connection) -> bool {
        let is_role = connection.kind() == StorageKind::S3s;
        let is_at_cloud = connection.address().trim().is_empty();
        self.is_open
            || (self.trusts_unscoped && is_unscoped)
            || ((is_role || is_at_cloud || is_unscoped) && self.names(project, connection))
    }

    /// Whether the list names such a storage. An entry with a bucket is about the bucket that the identity itself may
    /// use. For a role it would mean nothing: which bucket the role opens, and where, its user chooses.
    fn names(&self, project: i64, connection: &Connection) -> bool {
        if connection.kind() == StorageKind::S3s {
            return self.lends_roles;
        }
        let bucket = connection.bucket();
        let is_here = |place: &Place| {
            place.project.is_none_or(|only| only == project)
                && place.bucket.as_deref().is_none_or(|only| only == bucket)
        };
        self.places.iter().any(is_here)
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::StorageSettings;

    use super::*;

    fn connection(json: &str) -> Connection {
        serde_json::from_str::<StorageSettings>(json).unwrap().connection
    }

    fn own(text: &str) -> OwnIdentity {
        text.parse().unwrap()
    }

    const BUCKET: &str = r#"{"kind":"s3","bucket":"photos"}"#;
    const ROLE: &str = r#"{"kind":"s3s","bucket":"theirs","role_arn":"r"}"#;

    #[test]
    fn the_default_lends_the_identity_to_admins_of_all_projects_and_stored_storages_keep_it() {
        assert_eq!(own("unscoped"), OwnIdentity::default());
        for json in [BUCKET, ROLE] {
            let connection = connection(json);
            let lends = |text: &str, is_unscoped| own(text).lends_to(is_unscoped, 7, &connection);
            assert!(lends("unscoped", true) && !lends("unscoped", false));
            assert!(lends("all", true) && lends("all", false));
            assert!(!lends("none", true) && !lends("none", false));
            assert!(own("unscoped").permits(7, &connection) && own("all").permits(7, &connection));
            assert!(!own("none").permits(7, &connection));
        }
    }

    #[test]
    fn a_list_names_projects_and_buckets_of_the_cloud_and_nothing_else_has_the_identity() {
        let photos = connection(BUCKET);
        for (text, expected) in
            [("7:photos", true), ("7:*", true), ("*:photos", true), ("8:photos, 7:videos", false), ("roles", false)]
        {
            for is_unscoped in [false, true] {
                assert_eq!(own(text).lends_to(is_unscoped, 7, &photos), expected, "{text}");
            }
            assert_eq!(own(text).permits(7, &photos), expected, "{text}");
        }
        let elsewhere = connection(r#"{"kind":"s3","bucket":"photos","s3_endpoint":"https://relay.test"}"#);
        assert!(!own("7:photos").lends_to(false, 7, &elsewhere));
        assert!(own("7:photos").lends_to(true, 7, &elsewhere) && own("7:photos").permits(7, &elsewhere));
        let both = own("unscoped,7:photos");
        assert!(
            both.lends_to(false, 7, &photos) && !both.lends_to(false, 8, &photos) && both.lends_to(true, 8, &photos)
        );
    }

    #[test]
    fn roles_lends_every_project_the_assumption_of_roles_and_nothing_else() {
        assert!(own("roles").lends_to(false, 7, &connection(ROLE)) && own("roles").permits(9, &connection(ROLE)));
        assert!(!own("roles").permits(7, &connection(BUCKET)));
    }

    #[test]
    fn an_entry_with_a_bucket_lends_no_assumption_of_roles() {
        for address in ["", r#","s3_endpoint":"https://attacker.test""#] {
            let role = connection(&format!(r#"{{"kind":"s3s","bucket":"photos","role_arn":"r"{address}}}"#));
            for text in ["7:photos", "7:*", "*:photos", "*:*", "7:photos,8:*"] {
                assert!(!own(text).permits(7, &role), "{text}");
                assert!(!own(text).lends_to(false, 7, &role) && !own(text).lends_to(true, 7, &role), "{text}");
            }
            let both = own("7:photos,roles");
            assert!(both.permits(9, &role) && both.lends_to(false, 9, &role));
        }
    }

    #[test]
    fn another_form_is_refused() {
        for text in ["", "some", "unscoped,", "all,unscoped", "none,roles", "7", "7:", ":b", "0:b", "-1:b", "p:b"] {
            assert_eq!(text.parse::<OwnIdentity>(), Err(InvalidOwnIdentity), "{text:?}");
        }
    }
}
