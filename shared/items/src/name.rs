//! What the name of an object says about its content. Where it says nothing, the first bytes decide.

use std::borrow::Cow;

use super::endings::OTHER;

/// Endings of names of JSON, in lower case.
const JSON: [&str; 11] =
    ["json", "jsonl", "ndjson", "jsonlines", "jsonline", "jl", "ldjson", "ldj", "jsonnd", "json-seq", "geojson"];

/// What a name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// JSON.
    Json,
    /// Nothing: it has no ending, or one that means nothing here, such as the day of a date.
    Unknown(Option<String>),
    /// Another format, by its ending.
    Other(String),
}

/// A compression that a name or the first bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Gzip,
    Zstd,
}

impl Name {
    /// What the key says, and the compression that it names last.
    pub(super) fn of(key: &str) -> (Self, Option<Compression>) {
        let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
        let (mut stem, mut compression) = (name.as_str(), None);
        while let Some((rest, named)) = compressed(stem) {
            (stem, compression) = (rest, compression.or(Some(named)));
        }
        let ending = stem.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| !ending.is_empty());
        let name = match ending {
            None => Self::Unknown(None),
            Some(ending) if JSON.contains(&ending) => Self::Json,
            Some(ending) if OTHER.contains(ending) => Self::Other(ending.to_owned()),
            Some(ending) => Self::Unknown(Some(ending.to_owned())),
        };
        (name, compression)
    }
}

fn compressed(name: &str) -> Option<(&str, Compression)> {
    let (stem, ending) = name.rsplit_once('.')?;
    match ending {
        "gz" | "gzip" => Some((stem, Compression::Gzip)),
        "zst" | "zstd" => Some((stem, Compression::Zstd)),
        _ => None,
    }
}

/// The compression that the first bytes show: an object may be compressed although its key does not name it, as web
/// servers often store files.
pub(super) fn by_magic(bytes: &[u8]) -> Option<Compression> {
    match bytes {
        [0x1f, 0x8b, ..] => Some(Compression::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Compression::Zstd),
        _ => None,
    }
}

/// The ending for a message to users: short, in one line.
pub(super) fn shown(ending: &str) -> Cow<'_, str> {
    const MOST: usize = 40;
    let cut: String = ending.chars().take(MOST).collect();
    Cow::Owned(cut.escape_default().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_json_another_format_or_nothing() {
        let json = ["a.json", "A.JSON", "x.png/a.NdJson", "a.jsonlines.gz", "a.jl.zst.gz", ".json"];
        assert!(json.iter().all(|key| Name::of(key).0 == Name::Json), "{json:?}");
        for key in
            ["a.png", "a.JPG.gz", "a.tar.gz", "a.csv", "a.json.bz2", "a.JXL", "a.tar.zst", "a.TZST", "a.mka", "a.rmvb"]
        {
            assert!(matches!(Name::of(key).0, Name::Other(_)), "{key}");
        }
        for (key, ending) in [
            ("a", None),
            ("a.", None),
            (".gz", None),
            ("export_2024.11.05", Some("05")),
            ("a.json.bak", Some("bak")),
            ("img.png:meta", Some("png:meta")),
            ("user@example.com", Some("com")),
            ("user@example.com.br", Some("br")),
        ] {
            assert_eq!(Name::of(key).0, Name::Unknown(ending.map(str::to_owned)), "{key}");
        }
        assert_eq!(Name::of("a.json.zst.gz").1, Some(Compression::Gzip));
    }
}
