//! Fields and values, as JSON texts. Values at which Label Studio's sync stops are in the cases.

/// A field of annotations or predictions, and values of it.
pub(super) struct Field {
    /// `annotations` or `predictions`.
    pub(super) labels: &'static str,
    pub(super) name: &'static str,
    /// Values that both store, or that Label Studio refuses.
    pub(super) values: &'static [&'static str],
    pub(super) refused: Refused,
    /// Values that both treat differently, as `deploy/label-studio/differences.md` says.
    pub(super) differing: &'static [(&'static str, Outcome)],
}

/// What Longshore does with a value for which Label Studio drops the labels or leaves out the task.
#[derive(Clone, Copy)]
pub(super) enum Refused {
    /// It leaves out the value. Entries `ignored-values`, `user-as-object`, `user-by-email` and `updated-by`.
    Value,
    /// It leaves out the prediction. Entry `ignored-values`.
    Prediction,
    /// It quarantines the object. Entry `dropped-annotations`.
    Object,
}

/// How both treat a value differently.
#[derive(Clone, Copy)]
pub(super) enum Outcome {
    /// Label Studio drops the labels. Entry `null-as-missing`.
    OursStores,
    /// Both store the labels, Longshore without the value. Entry `odd-texts`.
    OursLeavesOut,
    /// Label Studio counts the annotation as cancelled and as not cancelled. Entry `cancelled-as-text`.
    TheirsCountsTwice,
}

use Outcome::{OursLeavesOut, OursStores, TheirsCountsTwice};

pub(super) const FIELDS: &[Field] = &[
    annotation(
        "was_cancelled",
        TRUTHS_AND_OTHERS,
        &[
            (r#""0""#, TheirsCountsTwice),
            (r#""off""#, TheirsCountsTwice),
            (r#""No""#, TheirsCountsTwice),
            (r#""f""#, TheirsCountsTwice),
        ],
    ),
    annotation("ground_truth", TRUTHS_AND_OTHERS, &[]),
    annotation("ground_truth", FALSE_WORDS, &[]),
    annotation("bulk_created", TRUTHS_AND_OTHERS, &[]),
    annotation("bulk_created", FALSE_WORDS, &[]),
    annotation("lead_time", NUMBERS, NOT_FINITE),
    prediction("score", NUMBERS, NOT_FINITE),
    prediction("mislabeling", NUMBERS, NOT_FINITE),
    prediction("cluster", WHOLE_NUMBERS, OTHER_DIGITS),
    annotation("import_id", WHOLE_NUMBERS, OTHER_DIGITS),
    annotation("completed_by", USERS, &[]),
    annotation(
        "completed_by",
        &[
            "null",
            r#""""#,
            "999",
            "0.5",
            r#""null""#,
            r#"{"id": 1}"#,
            r#"{"id": 999}"#,
            r#"{"email": "annotator@example.com"}"#,
        ],
        &[],
    ),
    annotation("last_created_by", USERS, &[]),
    annotation("last_created_by", &["null", r#""""#, "999", "0.5", r#"{"id": 1}"#], &[]),
    annotation("updated_by", &["null", r#""""#, "1", r#""1""#, "999", "true", r#"{"id": 1}"#], &[]),
    annotation("parent_prediction", PARENTS, &[]),
    annotation("parent_annotation", PARENTS, &[]),
    prediction("model", &["1000007", "1000007.0", "1000007.9", r#""1000007""#, "1000008", r#"{"id": 1000007}"#], &[]),
    prediction("model", NO_ROWS, &[]),
    prediction(
        "model_run",
        &["1000008", "1000008.0", "1000008.9", r#""1000008""#, "1000007", r#"{"id": 1000008}"#],
        &[],
    ),
    prediction("model_run", NO_ROWS, &[]),
    annotation(
        "draft_created_at",
        TIMES,
        &[
            (r#""2024-01-02T03:04:05.1234567 x Z""#, OursLeavesOut),
            (r#""2024-01-02T03.5""#, OursLeavesOut),
            (r#""9999-12-31T23:59:59""#, OursLeavesOut),
        ],
    ),
    annotation("unique_id", &["null"], &[]),
    annotation("unique_id", UNIQUE_IDS, &[]),
    annotation("last_action", ACTIONS, &[]),
    prediction("model_version", VERSIONS, &[]),
    prediction(
        "neighbors",
        &["null", r#""""#, r#""null""#, "[]", "{}", r#"[1, {"a": 2.50}]"#, "true", "5", "1.50", "[null]"],
        &[],
    ),
    Field { refused: Refused::Prediction, ..prediction("result", PREDICTED, &[]) },
    Field { refused: Refused::Object, ..annotation("result", ANNOTATED, &[("null", OursStores)]) },
    // Neither stores what is in the file.
    annotation("task", &["99", "null", r#""x""#], &[]),
    annotation("project", &["99", "null"], &[]),
    annotation("prediction", &[r#"{"a": 1}"#, "null", "5"], &[]),
    annotation("result_count", &["5", r#""x""#], &[]),
    annotation("created_at", &[r#""x""#, r#""2020-01-01T00:00:00Z""#, "null"], &[]),
    annotation("updated_at", &[r#""x""#, "null"], &[]),
    annotation("id", &["1000050", r#""x""#, "null"], &[]),
    annotation("state", &[r#""x""#, "5"], &[]),
    prediction("task", &["99", "null"], &[]),
    prediction("project", &["99", "null"], &[]),
    prediction("created_at", &[r#""x""#, "null"], &[]),
    prediction("id", &["1000050", r#""x""#], &[]),
];

const fn annotation(
    name: &'static str,
    values: &'static [&'static str],
    differing: &'static [(&'static str, Outcome)],
) -> Field {
    Field { labels: "annotations", name, values, refused: Refused::Value, differing }
}

const fn prediction(
    name: &'static str,
    values: &'static [&'static str],
    differing: &'static [(&'static str, Outcome)],
) -> Field {
    Field { labels: "predictions", name, values, refused: Refused::Value, differing }
}

#[rustfmt::skip]
const TRUTHS_AND_OTHERS: &[&str] = &[
    "true", "false", "null", "1", "0", "1.0", "0.0", "-0.0", "-0", "1e0", "2", "1.5", "[]", "{}", "[true]",
    r#""""#, r#"" ""#, r#""1""#, r#""1.0""#, r#""yes""#, r#""YES""#, r#""y""#, r#""t""#, r#""on""#, r#""True""#,
    r#"" true""#, r#""\u0074rue""#, r#""null""#, r#""NULL""#, r#""None""#, r#""maybe""#,
];

const FALSE_WORDS: &[&str] = &[r#""0""#, r#""off""#, r#""n""#, r#""No""#, r#""f""#, r#""FALSE""#, r#""0.0""#];

#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "1", "1.5", "-0.0", "null", "true", "false", "[]", "{}", "1e-400", "1.7976931348623157e308",
    "123456789012345678901234567890", r#""""#, r#"" ""#, r#""1.5""#, r#"" 1.5 ""#, r#""\t1.5\n""#, r#""1e3""#,
    r#""1_000""#, r#""1_000.5""#, r#""1__0""#, r#""_1""#, r#""1_""#, r#""1_.5""#, r#""+1.5""#, r#""1.""#, r#"".5""#,
    r#"".""#, r#""0x10""#, r#""1,5""#, r#""\u00a01.5""#, r#""\u001f1.5""#, r#""\u001f\u00a01.5""#, r#""long""#,
];

/// Label Studio cannot open a task with a number that is not finite.
const NOT_FINITE: &[(&str, Outcome)] = &[
    (r#""nan""#, OursLeavesOut),
    (r#""-inf""#, OursLeavesOut),
    (r#""Infinity""#, OursLeavesOut),
    (r#""1e400""#, OursLeavesOut),
    (r#""١.٥""#, OursLeavesOut),
];

const OTHER_DIGITS: &[(&str, Outcome)] = &[(r#""٧""#, OursLeavesOut)];

#[rustfmt::skip]
const WHOLE_NUMBERS: &[&str] = &[
    "1", "-7", "-0", "-0.0", "null", "true", "false", "[]", "{}", "[7]", "5e0", "50e-1", "1.0", "7.5", "1E1", "1e15",
    "1e16", "1e20", "2147483647", "2147483648", "-2147483648", "-2147483649", "2147483648.0", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "9223372036854775807.0", r#""7""#, r#""7.0""#, r#""7.""#,
    r#""7.00  ""#, r#""7.5""#, r#""7.0.0""#, r#""""#, r#"" ""#, r#"" 7 ""#, r#""+7""#, r#""-7""#, r#""- 7""#, r#""7_0""#,
    r#""7__0""#, r#""_7""#, r#""07""#, r#""7e0""#, r#""0x7""#, r#"".0""#, r#""\u00a07""#, r#""2147483647.0""#,
    r#""9223372036854775807""#,
];

#[rustfmt::skip]
const USERS: &[&str] = &[
    "1", "1.0", "1.9", "1e0", "0", "-1", "true", "false", "[]", "{}", "[1]", "3000000000", "1e30", r#""1""#, r#"" 1 ""#,
    r#""1.0""#, r#""+1""#, r#""0_1""#, r#""01""#, r#"" ""#, r#""3000000000""#, r#""annotator@example.com""#,
];

#[rustfmt::skip]
const PARENTS: &[&str] = &[
    "1000050", "1000050.0", "1000050.9", "999999", "-1000050", "3000000000", "null", "true", "[]", "{}", r#""1000050""#,
    r#"" 1000050 ""#, r#""1000050.0""#, r#""1_000_050""#, r#""""#, r#"" ""#, r#"{"id": 1000050}"#,
];

const NO_ROWS: &[&str] = &["null", r#""""#, r#"" ""#, "99", "0", "true", "[]", "{}", "3000000000", "1e30", r#""x""#];

#[rustfmt::skip]
const TIMES: &[&str] = &[
    "null", "5", "1.5", "true", "[]", "{}", r#""""#, r#"" ""#, r#""yesterday""#, r#""1700000000""#,
    r#""2024""#, r#""2024-01""#, r#""202401""#, r#""2024-01-02""#, r#""20240102""#, r#""2024-1-2""#, r#""2024-001""#,
    r#""2024-W01-2""#, r#""2024W012""#, r#""2024-W01""#, r#""2024-W01-2T03:04:05""#, r#""2024-W01-03:04""#,
    r#""2024-02-30""#, r#""2023-02-29T00:00:00""#, r#""2024-13-01T00:00:00""#, r#""0000-01-01""#, r#""10000-01-01""#,
    r#""0001-01-01T00:00:00""#, r#""0001-01-01T00:00:00+02:00""#, r#""9999-12-31T23:59:59-02:00""#,
    r#""2024-01-02T03""#, r#""2024-01-02T03:04""#, r#""2024-01-02T03:04:05""#, r#""2024-01-02 03:04:05""#,
    r#""2024-01-02t03:04:05""#, r#""2024-01-02_03:04:05""#, r#""2024-01-02é03:04:05""#, r#""2024-01-02T3:04:05""#,
    r#""20240102T030405""#, r#""20240102T0304Z""#, r#""2024-01-02T030405""#, r#""2024-1-2 3:4""#,
    r#""2024-01-02T03:04:05Z""#, r#""2024-01-02T03:04:05z""#, r#""2024-01-02T03:04:05 Z""#, r#""2024-01-02Z""#,
    r#""2024-01-02T03Z""#, r#""2024-01-02T03:04:05+02:00""#, r#""2024-01-02T03:04:05+0200""#,
    r#""2024-01-02T03:04:05+02""#, r#""2024-01-02T03:04:05 +02:00""#, r#""2024-01-02T03:04:05-23:59""#,
    r#""2024-01-02T03:04:05+24:00""#, r#""2024-01-02T03:04:05+02:60""#, r#""2024-01-02T03:04:05+02:00:30""#,
    r#""2024-01-02T03:04:05.5+02:00:30.5""#, r#""2024-01-02T03:04:05.5""#, r#""2024-01-02T03:04:05,5""#,
    r#""2024-01-02T03:04:05.""#, r#""2024-01-02T03:04:05.999999999Z""#, r#""2024-01-02T24:00:00""#,
    r#""2024-01-02T23:59:60""#, r#""2024-01-02T""#, r#""2024-01-02T03:""#, r#"" 2024-01-02T03:04:05""#,
    r#""2024-01-02T03:04:05 ""#, r#""2024-01-02T03:04:05\n""#, r#""2024-01-02T03:04:05[UTC]""#,
    r#""Tue, 02 Jan 2024""#,
];

#[rustfmt::skip]
const UNIQUE_IDS: &[&str] = &[
    "true", "[]", "{}", r#""""#, r#"" ""#, r#""$SIDE-89ab-4def-8123-456789ab0001""#, r#""$SIDE89AB4DEF8123456789AB0002""#,
    r#""{$SIDE-89ab-4def-8123-456789ab0003}""#, r#""urn:uuid:$SIDE-89ab-4def-8123-456789ab0004""#,
    r#"" $SIDE-89ab-4def-8123-456789ab0005 ""#, r#""$SIDE8-9-a-b4def8123456789ab0006""#,
    r#""$SIDE_9ab4def8123456789ab0009""#, r#""{$SIDE-89ab-4def-8123-456789ab0007""#, r#""uuid:$SIDE-89ab-4def-8123-456789ab0008""#,
];

#[rustfmt::skip]
const ACTIONS: &[&str] = &[
    "null", "1", "true", "[]", "{}", r#""""#, r#"" ""#, r#"" imported""#, r#""Imported""#, r#""\u0069mported""#,
    r#""slept""#, r#""prediction""#, r#""propagated_annotation""#, r#""imported""#, r#""submitted""#, r#""updated""#,
    r#""skipped""#, r#""accepted""#, r#""rejected""#, r#""fixed_and_accepted""#, r#""deleted_review""#,
];

#[rustfmt::skip]
const VERSIONS: &[&str] = &[
    "null", "true", "false", "[]", "{}", "3", "1.10", "1e2", "-0", "-0.0", "1e300", "12345678901234567890123",
    r#""""#, r#"" ""#, r#"" v1 ""#, r#""\u001fv\u001f""#, r#""\u00a0v\u2003""#, r#""\u200bv""#, r#""\u0085v""#,
    r#""null""#, r#""a\\b\"c\nd""#,
];

#[rustfmt::skip]
const PREDICTED: &[&str] = &[
    "null", "true", "false", "5", "-1", "0", "-0", "1.0", "1.5", "1e2", "12345678901234567890123", "{}", "[]", "[{}]",
    "[null]", "[[]]", "[5]", r#"["x"]"#, r#""""#, r#""[]""#, r#""null""#, r#""cat""#, r#""a \"b\" \u00e9""#,
    r#"{"choices": ["cat"]}"#, r#"{"Choices": ["cat"]}"#, r#"{"rating": 5}"#, r#"{"rating": 5, "choices": ["cat"]}"#,
];

#[rustfmt::skip]
const ANNOTATED: &[&str] = &[
    "true", "false", "5", "0", "{}", "[]", "[{}]", r#""[]""#, r#""[] ""#, r#"" [{}]""#, r#""null""#, r#""{}""#,
    r#""5""#, r#""[{\"a\": 1.10}]""#, r#"[{"id": null}, {"id": 1}, {"id": 1.0}, {"id": true}, {"id": "1"}]"#,
    r#"[{"id": 1, "id": 2}]"#, r#""[{\"id\": 1}, {\"id\": 1.0}]""#,
];
