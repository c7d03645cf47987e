//! Which objects are imported: names, prefixes, folders and filters.

use serde_json::json;

use super::{Case, TASK};

/// Names that break what quotes, splits or normalizes them.
const ODD: &[&str] = &[
    "a b.jpg",
    "a%2Fb.jpg",
    "a+b.jpg",
    "e\u{301}.jpg",
    "ü.jpg",
    "日本.jpg",
    "😀.jpg",
    "x//y.jpg",
    "q?.jpg",
    "h#.jpg",
    "d\"q.jpg",
    "s'q.jpg",
    "b\\s.jpg",
    "t\tb.jpg",
    ".hidden",
    "k=v.jpg",
    "&amp;.jpg",
    "<x>.jpg",
    "semi;colon,comma.jpg",
];

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::blobs("prefix-flat").keys(&["c", "p/a", "p/sub/b", "p2/d"]).settings(json!({"prefix": "p"})),
        Case::blobs("prefix-slash")
            .keys(&["p", "p/a", "p/sub/b", "pp/c", "p/dir/"])
            .settings(json!({"prefix": "p/", "recursive_scan": true})),
        Case::blobs("no-prefix-flat").keys(&["a", "d/b"]),
        Case::blobs("no-prefix-deep").keys(&["a", "d/b", "d/e/f/g/h", "d/"]).settings(json!({"recursive_scan": true})),
        Case::blobs("prefix-of-two").keys(&["a/b/c", "a/b/d/e", "a/bc"]).settings(json!({"prefix": "a/b"})),
        Case::blobs("prefix-blank")
            .keys(&["a", "d/b"])
            .settings(json!({"prefix": "", "regex_filter": "", "region_name": "", "aws_session_token": ""})),
        Case::blobs("regex-anchored")
            .keys(&["img/a.jpg", "img/b.jpg.bak", "x/img/c.jpg"])
            .settings(json!({"recursive_scan": true, "regex_filter": r"img/.*\.jpg"})),
        Case::blobs("regex-end")
            .keys(&["a.jpg", "a.jpg.bak", "b.JPG", "c.png"])
            .settings(json!({"regex_filter": r"(?i).*\.(jpg|png)$"})),
        Case::blobs("regex-sees-prefix")
            .keys(&["p/a.jpg", "p/b.png"])
            .settings(json!({"prefix": "p", "regex_filter": r"p/a"})),
        Case::blobs("regex-none").keys(&["a.jpg", "b.jpg"]).settings(json!({"regex_filter": "nothing"})),
        Case::blobs("regex-unicode")
            .keys(&["ü1.jpg", "é.jpg", "x1.jpg"])
            .settings(json!({"regex_filter": r"\w\d\.jpg"})),
        Case::blobs("regex-lookahead")
            .keys(&["a.jpg", "b.tmp.jpg"])
            .settings(json!({"regex_filter": r"(?!.*\.tmp\.).*\.jpg"})),
        Case::blobs("regex-unreadable").keys(&["a.jpg"]).settings(json!({"regex_filter": "["})).ends(
            "count-of-failed",
            [
                "failed, null new, none existed, attempt 1, traceback, no time",
                "failed, 0 new, 0 existed, attempt 1, traceback, no time",
            ],
            [
                "failed, null new, none existed, attempt 2, traceback, no time",
                "failed, 0 new, 0 existed, attempt 2, traceback, no time",
            ],
        ),
        Case::blobs("odd-names").keys(ODD).settings(json!({"recursive_scan": true})),
        Case::blobs("leading-slash").keys(&["/a.jpg", "//b.jpg", "c.jpg"]).settings(json!({"recursive_scan": true})),
        Case::blobs("long-name").keys(&[&"n".repeat(1_000)]),
        Case::blobs("blobs-of-any-kind").object("a.json", TASK).object("b.txt", "x").object("empty", ""),
        Case::blobs("nothing"),
        (0..120).fold(Case::blobs("many-names"), |case, n| case.object(&format!("{n:03}.jpg"), "x")),
    ]
}
