//! Certificates of an authority that no system trusts.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A private certificate authority.
pub struct Authority {
    folder: PathBuf,
}

/// A certificate and its key, in PEM files.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
}

const NEW: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2";

impl Authority {
    /// Makes an authority, whose files are in `folder`.
    pub fn make(folder: &Path) -> Self {
        openssl(folder, &format!("{NEW} -subj /CN=rig-authority -keyout ca.key -out ca.pem"));
        Self { folder: folder.to_owned() }
    }

    /// The authority's own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Issues a certificate for these names, such as `DNS:localhost,IP:127.0.0.1`, in `<name>.pem` and `<name>.key`.
    pub fn issue(&self, name: &str, names: &str) -> Certificate {
        let issue = format!(
            "{NEW} -subj /CN={name} -keyout {name}.key -out {name}.pem -CA ca.pem -CAkey ca.key \
             -addext subjectAltName={names} -addext basicConstraints=critical,CA:FALSE"
        );
        openssl(&self.folder, &issue);
        let file = |extension: &str| self.folder.join(format!("{name}.{extension}"));
        Certificate { chain: file("pem"), key: file("key") }
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output();
    let made = made.expect("openssl is installed");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
