//! Names of objects that tools leave beside the data: nothing in them can be labeled.
//!
//! Only names that tools fix are listed. A name that a person may give to data is none, whatever it looks like.

use crate::Skip;

/// The end of the keys with which Hadoop marks folders.
const HADOOP_FOLDER: &str = "_$folder$";

/// Files that Hadoop, Spark, Hive, Hudi and object committers write beside data. Spelled exactly. A folder of such a name is
/// a user's.
const HADOOP_FILES: [&str; 6] =
    ["_SUCCESS", "_FAILURE", "_metadata", "_common_metadata", "_orc_acid_version", ".hoodie_partition_metadata"];

/// Their folders, in which nothing is data.
const HADOOP_FOLDERS: [&str; 11] = [
    "_temporary",
    "_delta_log",
    "_spark_metadata",
    "_symlink_format_manifest",
    "_impala_insert_staging",
    "_distcp_logs",
    "__magic",
    ".hoodie",
    ".sparkStaging",
    ".staging",
    "_logs/history",
];

/// The same, followed by an ID.
const HADOOP_STARTS: [&str; 4] = [".hive-staging", ".spark-staging", "__magic_job-", "_temporary-"];

/// Files of Databricks: a word, then the number of a transaction.
const NUMBERED: [&str; 3] = ["_committed_vacuum", "_committed_", "_started_"];

/// What an upload by Hadoop is called until it ends.
const HADOOP_UPLOAD: &str = "._COPYING_";

/// Files and folders of desktops and of the programs on them, in lower case.
const DESKTOP: [&str; 47] = [
    // macOS
    ".ds_store",
    ".localized",
    "icon\r",
    ".apdisk",
    ".volumeicon.icns",
    ".com.apple.timemachine.donotpresent",
    ".com.apple.timemachine.supported",
    "__macosx",
    ".appledouble",
    ".appledb",
    ".appledesktop",
    ".spotlight-v100",
    ".trashes",
    ".trash",
    ".fseventsd",
    ".metadata_never_index",
    ".temporaryitems",
    ".documentrevisions-v100",
    ".pkinstallsandboxmanager",
    "network trash folder",
    "temporary items",
    // Windows
    "thumbs.db",
    "thumbs.db:encryptable",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "recycler",
    // Linux, file servers and programs
    ".directory",
    "lost+found",
    "@eadir",
    "#recycle",
    "@recycle",
    ".@__thumb",
    ".nomedia",
    ".thumbnails",
    ".stfolder",
    ".stignore",
    ".stversions",
    ".bridgesort",
    ".ipynb_checkpoints",
    ".picasa.ini",
    ".bridgecache",
    ".bridgecachet",
    ".dropbox",
    ".dropbox.cache",
];

/// Empty files that hold a place in an otherwise empty folder, in lower case.
const PLACEHOLDERS: [&str; 6] = [".keep", ".gitkeep", ".placeholder", ".emptyfolderplaceholder", ".bzempty", ".folder"];

/// The rule by which a name is that of a marker. `below` is the key below the prefix: a user who chose a prefix wants
/// what lies below it.
pub(crate) fn rule(below: &str) -> Option<Skip> {
    if below.ends_with(HADOOP_FOLDER) {
        return Some(Skip::Folder);
    }
    let name = below.rsplit('/').next().unwrap_or(below);
    if is_checksum(name) || is_file_of_hadoop(name) || is_in_folder_of_hadoop(below) {
        return Some(Skip::Hadoop);
    }
    (is_temporary(name) || below.split('/').any(is_of_desktop)).then_some(Skip::Desktop)
}

/// Whether an empty object of this name only keeps its folder.
pub(crate) fn is_placeholder(key: &str) -> bool {
    let name = key.rsplit('/').next().unwrap_or(key);
    PLACEHOLDERS.iter().any(|placeholder| placeholder.eq_ignore_ascii_case(name))
}

/// The checksum that Hadoop keeps beside a file.
fn is_checksum(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".crc")
}

fn is_file_of_hadoop(name: &str) -> bool {
    let is_numbered = |word: &&str| {
        let number = name.strip_prefix(word).unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    HADOOP_FILES.contains(&name) || name.ends_with(HADOOP_UPLOAD) || NUMBERED.iter().any(is_numbered)
}

/// Whether a folder, or the object itself, has the name of a folder of Hadoop.
fn is_in_folder_of_hadoop(below: &str) -> bool {
    let folder = format!("/{below}/");
    below.split('/').any(|name| HADOOP_STARTS.iter().any(|start| name.starts_with(start)))
        || HADOOP_FOLDERS.iter().any(|name| folder.contains(&format!("/{name}/")))
}

fn is_of_desktop(name: &str) -> bool {
    // The folder of deleted files of a user, such as `.Trash-1000`.
    let is_trash = name.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(".trash-"));
    is_trash || DESKTOP.iter().any(|listed| listed.eq_ignore_ascii_case(name))
}

/// What a program keeps beside a file: the attributes that macOS stores apart, and the locks of office programs.
fn is_temporary(name: &str) -> bool {
    name.starts_with("._") || name.starts_with("~$") || (name.starts_with(".~lock.") && name.ends_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_tools_leave_are_markers_at_any_depth() {
        for (key, skip) in [
            ("a_$folder$", Skip::Folder),
            ("a/_SUCCESS", Skip::Hadoop),
            ("_committed_123", Skip::Hadoop),
            ("a/_temporary/0/part.json", Skip::Hadoop),
            ("t/_delta_log/00000.json", Skip::Hadoop),
            (".part-0000.json.crc", Skip::Hadoop),
            ("._SUCCESS.crc", Skip::Hadoop),
            ("t/_started_4711", Skip::Hadoop),
            ("t/_committed_vacuum12", Skip::Hadoop),
            ("t/__magic/job-1/x.json", Skip::Hadoop),
            ("t/_logs/history/job.xml", Skip::Hadoop),
            ("t/x.json._COPYING_", Skip::Hadoop),
            (".hive-staging_hive_2024-01-01_1/x", Skip::Hadoop),
            ("a/.DS_Store", Skip::Desktop),
            ("._photo.jpg", Skip::Desktop),
            ("a/THUMBS.DB", Skip::Desktop),
            ("__MACOSX/a/photo.jpg", Skip::Desktop),
            (".Trash-1000/files/photo.jpg", Skip::Desktop),
            ("photos/@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg", Skip::Desktop),
            ("~$letter.docx", Skip::Desktop),
            (".~lock.table.ods#", Skip::Desktop),
            ("Icon\r", Skip::Desktop),
            ("a/$Recycle.Bin/S-1-5/x.jpg", Skip::Desktop),
            ("a/.Trash/x.jpg", Skip::Desktop),
            ("DCIM/.thumbnails/1.jpg", Skip::Desktop),
            ("a/.nomedia", Skip::Desktop),
        ] {
            assert_eq!(rule(key), Some(skip), "{key}");
        }
    }

    #[test]
    fn names_that_people_give_are_no_markers() {
        for key in [
            "_success",
            "SUCCESS",
            "_SUCCESS.json",
            "photo.crc",
            "metadata",
            "my_metadata",
            "_metadata.json",
            "committed_1",
            "_.jpg",
            ".hidden.json",
            "a.DS_Store",
            "trash/photo.jpg",
            "$folder$",
            "thumbs/1.jpg",
            "Icon",
            "~/a.json",
            "_started",
            "_started_jobs.json",
            "_committed_tasks/1.json",
            "_metadata/1.json",
            "a/_SUCCESS/1.json",
            "_logs/1.json",
            "_SUCCESS.crc",
            "notes._copying_",
            "a/._/",
            "",
        ] {
            assert_eq!(rule(key), None, "{key}");
        }
    }

    #[test]
    fn a_placeholder_is_known_by_its_name() {
        assert!(["a/.keep", ".gitkeep", "a/b/.emptyFolderPlaceholder"].iter().all(|key| is_placeholder(key)));
        assert!(!["a.keep", "keep", ".keep/a", ".env"].iter().any(|key| is_placeholder(key)));
    }
}
