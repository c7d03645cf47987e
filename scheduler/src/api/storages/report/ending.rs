//! What the endings of keys say about the objects.

use longshore_items::preview;

/// What the ending of a key says about its content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Media,
    Json,
    Table,
}

impl Ending {
    /// `None` if it says nothing of these.
    pub(super) fn of(key: &str) -> Option<Self> {
        const TABLES: [&str; 9] = ["csv", "tsv", "parquet", "avro", "orc", "arrow", "feather", "xls", "xlsx"];
        if preview::is_named_json(key) {
            return Some(Self::Json);
        }
        let name = key.rsplit('/').next().unwrap_or(key).to_ascii_lowercase();
        let plain =
            [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
        if plain.rsplit_once('.').is_some_and(|(_, ending)| TABLES.contains(&ending)) {
            return Some(Self::Table);
        }
        let guess = mime_guess::from_path(&name).first()?;
        let is_media =
            matches!(guess.type_().as_str(), "image" | "audio" | "video") || guess.essence_str() == "application/pdf";
        is_media.then_some(Self::Media)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_key_tells_media_json_and_tables_apart() {
        for (ending, keys) in [
            (Ending::Media, vec!["a.jpg", "x/B.JPEG", "a.PNG", "a.mp4", "a.wav", "a.pdf", "a.webp"]),
            (
                Ending::Json,
                vec!["a.json", "a/b.JSONL", "a.ndjson", "a.json.gz", "a.jsonlines", "a.jl.zst", "a.geojson"],
            ),
            (Ending::Table, vec!["a.csv", "x/A.TSV", "a.csv.gz", "part-0.snappy.parquet", "a.xlsx"]),
        ] {
            for key in keys {
                assert_eq!(Ending::of(key).as_ref(), Some(&ending), "{key}");
            }
        }
        for key in ["a", "a.jpg/b", "task:1", "a.txt", "csv", ""] {
            assert_eq!(Ending::of(key), None, "{key}");
        }
    }
}
