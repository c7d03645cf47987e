//! The folder that the operator opens to storages: one for all projects, or one for each.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// What stands for the ID of a project.
const PROJECT: &str = "{project}";

/// `LOCAL_FILES_DOCUMENT_ROOT`: storages may use only files below it. With `{project}` in it, each project has a root of
/// its own.
///
/// URIs of files are relative to [`DocumentRoot::base`], so that they differ for each file of all projects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRoot {
    /// The folders before the one with the project's ID, or all. Absolute, without a slash at the end.
    base: String,
    /// The part from the folder with the project's ID on, such as `{project}/files`. `None` if all projects share the
    /// root.
    of_project: Option<String>,
}

/// A root that cannot be used; the text completes a sentence that begins with the setting's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoot {
    #[error("must be the absolute path of a folder, such as /data or /data/{{project}}")]
    NotAbsolute,
    #[error(
        "must not be the whole machine (/): every project could read its secrets. Use a folder for labeling data only"
    )]
    WholeMachine,
    #[error("must not contain `..`: write the folder that is meant")]
    Dots,
    #[error("may contain {{project}} once, below another folder, such as /data/{{project}}")]
    Placeholder,
}

impl FromStr for DocumentRoot {
    type Err = InvalidRoot;

    /// Parses a path. Does not look at the disk; [`DocumentRoot::check`] does.
    fn from_str(text: &str) -> Result<Self, InvalidRoot> {
        if !text.starts_with('/') || text.contains('\0') {
            return Err(InvalidRoot::NotAbsolute);
        }
        let folders: Vec<&str> = text.split('/').filter(|folder| !matches!(*folder, "" | ".")).collect();
        if folders.contains(&"..") {
            return Err(InvalidRoot::Dots);
        }
        let path = |folders: &[&str]| folders.iter().map(|folder| format!("/{folder}")).collect::<String>();
        match folders.iter().position(|folder| folder.contains(PROJECT)) {
            _ if text.matches(PROJECT).count() > 1 => Err(InvalidRoot::Placeholder),
            Some(0) => Err(InvalidRoot::Placeholder),
            Some(at) => Ok(Self { base: path(&folders[..at]), of_project: Some(folders[at..].join("/")) }),
            None if folders.is_empty() => Err(InvalidRoot::WholeMachine),
            None => Ok(Self { base: path(&folders), of_project: None }),
        }
    }
}

impl DocumentRoot {
    /// Checks at the start of a process that the folder is not the whole machine by another name. A folder that does not
    /// exist yet may be mounted later; each access checks again.
    ///
    /// # Errors
    /// It is.
    pub fn check(&self) -> Result<(), InvalidRoot> {
        match fs::canonicalize(&self.base) {
            Ok(real) if is_whole_machine(&real) => Err(InvalidRoot::WholeMachine),
            _ => Ok(()),
        }
    }

    /// The folder that URIs are relative to, without a slash at its end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The root of a project, without a slash at its end.
    pub fn of(&self, project: i64) -> String {
        match &self.of_project {
            None => self.base.clone(),
            Some(rest) => format!("{}/{}", self.base, rest.replace(PROJECT, &project.to_string())),
        }
    }

    /// Whether a path is below the root of a project, by its text.
    pub fn holds(&self, project: i64, path: &str) -> bool {
        path.strip_prefix(&self.of(project)).is_some_and(|below| below.starts_with('/'))
    }

    /// The real path of a project's root.
    ///
    /// # Errors
    /// There is no such folder, it is the whole machine, or a link leads from the project's part elsewhere: what is
    /// there could be another project's.
    pub(super) fn real(&self, project: i64) -> io::Result<PathBuf> {
        let real = fs::canonicalize(self.of(project))?;
        let mut expected = fs::canonicalize(&self.base)?;
        if let Some(rest) = &self.of_project {
            expected.push(rest.replace(PROJECT, &project.to_string()));
        }
        if real != expected || is_whole_machine(&real) {
            return Err(io::Error::from(io::ErrorKind::PermissionDenied));
        }
        Ok(real)
    }
}

/// Whether a real path is `/`, or a mount of it.
fn is_whole_machine(real: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    match (id(real), id(Path::new("/"))) {
        (Ok(here), Ok(machine)) => here == machine,
        _ => real == Path::new("/"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn root(text: &str) -> DocumentRoot {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_whole_machine_is_refused_however_it_is_spelled() {
        for (text, error) in [
            ("/", InvalidRoot::WholeMachine),
            ("//", InvalidRoot::WholeMachine),
            ("/.", InvalidRoot::WholeMachine),
            ("/./", InvalidRoot::WholeMachine),
            ("/x/..", InvalidRoot::Dots),
            ("/data/../..", InvalidRoot::Dots),
            ("data", InvalidRoot::NotAbsolute),
            ("", InvalidRoot::NotAbsolute),
            ("/{project}", InvalidRoot::Placeholder),
            ("/{project}/files", InvalidRoot::Placeholder),
            ("/data/{project}/{project}", InvalidRoot::Placeholder),
        ] {
            assert_eq!(text.parse::<DocumentRoot>(), Err(error), "{text:?}");
        }
        let link = std::env::temp_dir().join(format!("longshore-root-{}", std::process::id()));
        symlink("/", &link).unwrap();
        let checked = [link.clone(), link.join("usr/..").canonicalize().unwrap_or_else(|_| link.clone())]
            .map(|path| path.to_str().unwrap().parse::<DocumentRoot>().and_then(|root| root.check()));
        let through = root(link.to_str().unwrap()).real(1);
        fs::remove_file(&link).unwrap();
        assert_eq!(checked, [Err(InvalidRoot::WholeMachine); 2]);
        assert!(through.is_err());
        assert_eq!(root("/nonexistent/longshore").check(), Ok(()));
    }

    #[test]
    fn a_placeholder_gives_each_project_its_own_root() {
        let shared = root("//data/./files/");
        assert_eq!((shared.base(), shared.of(7)), ("/data/files", "/data/files".to_owned()));
        let own = root("/data/p-{project}/files");
        assert_eq!((own.base(), own.of(7)), ("/data", "/data/p-7/files".to_owned()));
        assert!(own.holds(7, "/data/p-7/files/a") && !own.holds(7, "/data/p-7/files"));
        assert!(!own.holds(7, "/data/p-7/files-of-others/a") && !own.holds(7, "/data/p-71/files/a"));
    }

    #[test]
    fn a_projects_root_that_is_a_link_is_no_root() {
        let base = std::env::temp_dir().join(format!("longshore-roots-{}", std::process::id()));
        fs::create_dir_all(base.join("8")).unwrap();
        symlink(base.join("8"), base.join("7")).unwrap();
        let own = root(base.join("{project}").to_str().unwrap());
        let (linked, real, missing) = (own.real(7), own.real(8), own.real(9));
        fs::remove_dir_all(&base).unwrap();
        assert!(linked.is_err() && missing.is_err());
        assert!(real.unwrap().ends_with("8"));
    }
}
