use super::*;

fn taken(prefix: &str, recursive: bool, regex: Option<&str>, key: &str) -> Option<Skip> {
    KeyFilter::new(prefix, recursive, regex).unwrap().skips(key)
}

/// Keys of 1,024 bytes that take an automaton through different states.
fn long_keys() -> Vec<String> {
    (1..=20_u64)
        .map(|seed| {
            let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut next = || {
                bits ^= bits << 13;
                bits ^= bits >> 7;
                bits ^= bits << 17;
                if bits & 1 == 1 { '1' } else { '0' }
            };
            (0..1_024).map(|_| next()).collect()
        })
        .collect()
}

#[test]
fn a_regex_matches_at_the_start_of_the_full_key_and_not_at_its_end() {
    assert_eq!(taken("train/", true, Some(r"train/.*\.jpg"), "train/a.jpg.bak"), None);
    assert_eq!(taken("train/", true, Some("a"), "train/a.jpg"), Some(Skip::Regex));
    assert_eq!(taken("", true, Some("a|b"), "b1"), None);
    assert_eq!(taken("", true, Some("a|b"), "cb"), Some(Skip::Regex));
    assert_eq!(taken("", true, Some(r"a\Z"), "ab"), Some(Skip::Regex));
}

#[test]
fn a_regex_of_names_ignores_the_folders_before_them() {
    let filter = KeyFilter::new("/data/", true, Some("img_")).unwrap().matching(Matched::Name);
    assert_eq!(filter.skips("/data/a/img_1.png"), None);
    assert_eq!(filter.skips("/data/img_1/other.png"), Some(Skip::RegexOfName));
}

#[test]
fn folders_and_deeper_keys_are_skipped() {
    assert_eq!(taken("", true, None, "dir/"), Some(Skip::Folder));
    assert_eq!(taken("p/", false, None, "p/q/r"), Some(Skip::TooDeep));
    assert_eq!(taken("p/", true, None, "p/q/r"), None);
    assert_eq!(taken("p/", true, None, "q"), Some(Skip::Prefix));
}

#[test]
fn an_invalid_regex_is_refused_with_its_fault() {
    for pattern in ["(", "[a", r"(a)\2", "(?<=a", "*"] {
        let error = KeyFilter::new("", true, Some(pattern)).unwrap_err().to_string();
        assert!(error.starts_with("the file filter "), "{pattern}: {error}");
    }
}

/// Goal: the position of a fault is one in the text of the user, the same as in Python's message. The positions are those of
/// Python 3.11.
#[test]
fn a_fault_has_the_position_that_python_reports() {
    for (pattern, position) in [
        ("*.jpg", 0),
        ("images/(.*", 7),
        ("images/**/*.jpg", 8),
        ("a+*", 2),
        ("a|*", 2),
        (" \u{e9}(", 2),
        ("x(?P<n>a", 1),
        ("(a)(?(1)b", 3),
        ("a(b))", 4),
        ("a[b", 1),
        ("a[b-", 1),
        ("a[z-b]", 2),
        ("[a\\q]", 2),
        ("\\q", 0),
        ("ab\\", 2),
        ("a\\x1", 1),
        ("a\\8", 2),
        ("a(\\1)", 2),
        ("(?P=n)", 4),
        ("(?P<n>a)(?P<n>b)", 12),
        ("(?P<a b>x)", 4),
        ("(?(2)a)(b)", 3),
        ("x{3,2}", 2),
        ("x(?yb)", 2),
        ("x(?", 3),
        ("a(?i)b", 1),
        ("(?iq:a)", 3),
        ("x(?#c", 1),
    ] {
        match KeyFilter::new("", true, Some(pattern)) {
            Err(FilterError::Invalid { at, .. }) => assert_eq!(at, position, "{pattern}"),
            other => panic!("{pattern}: {other:?}"),
        }
    }
}

#[test]
fn a_glob_that_is_no_expression_is_refused_with_the_expression_that_it_means() {
    for (glob, meant) in [("*.jpg", r".*\.jpg"), ("images/**/*.jpg", r"images/.*\.jpg"), ("**", ".*")] {
        let error = KeyFilter::new("", true, Some(glob)).unwrap_err().to_string();
        assert!(error.contains("glob") && error.ends_with(&format!("write {meant}")), "{error}");
    }
}

#[test]
fn a_regex_that_compiles_to_too_much_is_refused_by_either_engine() {
    let too_much = [
        "((a{100}){100}){100}".to_owned(),
        r"\w{1000}".to_owned(),
        r"(?i)\w{1000}".to_owned(),
        r"(?:\w\w?){300}$".to_owned(),
        r"[\w--a]{500}".to_owned(),
        "(?:(?:(?:){1000}){1000}){1000}".to_owned(),
        "(?=((a{1000}){1000}){1000})".to_owned(),
        r"(?=a)(?:[0-9a-z]{0,70}){0,70}!".to_owned(),
        r"(?<!(?:[0-9a-z]{0,70}){0,70})a".to_owned(),
        r"(a)\1(?:(?:(?:b{0,99}){0,99}){0,99}){0,99}".to_owned(),
        format!("{}a{}", "(".repeat(500), ")".repeat(500)),
        format!("{}a{}", "(?=".repeat(500), ")".repeat(500)),
        "a|".repeat(5_000),
    ];
    for pattern in too_much {
        let error = KeyFilter::new("", true, Some(&pattern)).err();
        let start = &pattern[..pattern.len().min(30)];
        // Counted repetitions of the empty text compile to nothing, so that expression is valid.
        assert!(error.is_some() || start.starts_with("(?:(?:(?:)"), "{start}");
        assert!(error.is_none_or(|error| error.to_string().len() < 1_000), "{start}");
    }
}

#[test]
fn common_filters_are_valid_and_decide_the_longest_keys() {
    let names: Vec<String> = (0..300).map(|n| format!("name{n:05}")).collect();
    let usual = [
        r".*\.(jpe?g|png|gif)$",
        r"(?i).*\.jpe?g",
        r"\w+/\w+/\w+/\w+-\d+\.jpg",
        r"\d{4}-\d{2}-\d{2}/\w+\.json",
        r"[^/]+/[^/]+/[^/]+\.png",
        r"(?!.*tmp).*\.json",
        r"(?=.*train).*\.jpg",
        r".*(?<!_mask)\.png",
        r"(\w+)/\1_\d+\.png",
        r"(?!.*(?:/tmp/|\.bak$))(?!.*thumb).*",
        r".*\bcat\b.*",
        &names.join("|"),
    ];
    let keys = [
        format!("{}/{}.png", "a".repeat(500), "b".repeat(500)),
        "train/".repeat(170),
        "\u{e9}".repeat(500),
        "a_mask.png".repeat(100),
    ];
    for pattern in usual {
        let filter = KeyFilter::new("", true, Some(pattern)).unwrap();
        for key in &keys {
            assert_ne!(filter.skips(key), Some(Skip::RegexTooSlow), "{pattern} on {}", &key[..20]);
        }
    }
}

#[test]
fn look_around_is_supported() {
    for (pattern, key, matches) in [
        (r"(?!.*tmp).*\.json", "a/tmp.json", false),
        (r"(?!.*tmp).*\.json", "a/b.json", true),
        (r".*(?<!_mask)\.png", "a_mask.png", false),
        (r".*(?<!_mask)\.png", "a_mask.png.png", true),
        (r"(a|b)+\1c", "abbc", true),
        (r"(?P<x>\w)-(?P=x)", "a-a", true),
        (r"(?P<x>\w)-(?P=x)", "a-b", false),
        (r"(?i)(?P<x>\w)-(?P=x)", "a-A", true),
        (r"(a)?b(?(1)c|d)", "abc", true),
        (r"(a)?b(?(1)c|d)", "abd", false),
        (r"(a)?b(?(1)c|d)", "bd", true),
        (r"(?>a+)ab", "aaab", false),
        (r"(?=(a+))a*b\1", "baaabac", false),
        (r"(?=(a+))a*b\1", "aaabaaa", true),
        (r"(?:(?=a)|b)*c", "bbc", true),
        (r"(?=a)(?:a*)*b", "aab", true),
        (r"(?=a)a{2,3}?b", "aaab", true),
        (r"(?=a)a{2}b", "aaab", false),
        (r"(?<=\w{2})x|yy(?<=\w{2})z", "yyz", true),
        (r"(?=.)\bcat\b", "cat.png", true),
        (r"(?=.)(?i:\u00e9)", "\u{c9}", true),
        (r"(?=.)[^\W\d]+$", "ab1", false),
    ] {
        let matched = taken("", true, Some(pattern), key);
        assert_eq!(matched, (!matches).then_some(Skip::Regex), "{pattern} on {key}");
    }
}

/// Goal: both engines give the same answers for expressions that both support.
#[test]
fn both_engines_agree() {
    let parts = [
        "a", "b", "[ab]", ".", r"\w", r"\d", "(a|b)", "(?:ab?)*", "a+?", "b{1,2}", r"\b", r"\B", "^", "(?i:A)", "[^a]",
        r"\W",
    ];
    let keys = ["", "a", "b", "ab", "ba", "aab", "bab", "a1", "abab", "A.b", "\u{e9}a", "e\u{301}b", "a\nb", "ab\n"];
    for first in parts {
        for second in parts {
            for last in ["", "$", r"\Z", "(?m:$)", "b$|a"] {
                let pattern = format!("{first}{second}{first}{last}");
                let tree = syntax::parse(&pattern).unwrap();
                let automaton = engine::Automaton::compile(&tree).unwrap().unwrap_or_else(|| panic!("{pattern}"));
                let backtracking = engine::Backtracking::compile(&tree).unwrap();
                for key in keys {
                    let answer = automaton.is_match(key);
                    assert!(answer.is_some() && answer == backtracking.is_match(key), "{pattern} on {key:?}");
                }
            }
        }
    }
}

/// Goal: constructs with another meaning in Rust's expressions have Python's meaning. The system test with Python
/// compares many more expressions; this test needs no Python.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn an_expression_means_what_it_means_in_python() {
    for (pattern, key, matches) in [
        ("[a&&b]c", "&c", true),
        ("[a&&b]c", "bc", true),
        ("[+--]c", ",c", true),
        ("[a~~b]", "~", true),
        ("[[:alpha:]]", "x]", false),
        ("[[:alpha:]]", "a]", true),
        ("[[a]b", "[b", true),
        (r"\<a", "<a", true),
        ("a{,2}b", "aab", true),
        ("a{,2}b", "aaab", false),
        ("a{x", "a{x", true),
        (r"\101", "A", true),
        (r"[\101-\103]", "B", true),
        (r"\w+$", "e\u{301}", false),
        (r"\s", "\u{1c}", true),
        (r"(?a)\d", "\u{661}", false),
        (r"\d", "\u{661}", true),
        (r"e\b", "e\u{301}", true),
        (r"a\b{start}", "a{start}", true),
        ("(?i)i", "\u{130}", true),
        ("(?i)[i]", "\u{131}", true),
        ("(?ai)k", "\u{212a}", false),
        ("(?i)k", "\u{212a}", true),
        ("a$", "a\n", true),
        ("a$", "a\n\n", false),
        ("a$\n", "a\n", true),
        (r"a\Z", "a\n", false),
        ("(?m)a$", "a\nb", true),
        ("(?x) a b # c", "ab", true),
        ("(?#no)a", "a", true),
        ("a++b", "aab", true),
        ("a++ab", "aab", false),
        ("(?:a|ab){2}+c", "abac", false),
        ("(a|)*\\1b", "ab", true),
        ("(?s:.)(?-s:.)", "\n\n", false),
    ] {
        let matched = taken("", true, Some(pattern), key);
        assert_eq!(matched, (!matches).then_some(Skip::Regex), "{pattern} on {key:?}");
    }
    let refused = [
        r"\z",
        r"\h",
        r"\p{L}",
        r"\x{41}",
        r"\Q",
        r"\K",
        "(?R)",
        "(?U)a",
        "(?<n>a)",
        "a(?i)b",
        "a**",
        "^*",
        "(?<=a+)b",
        r"\u12",
        r"\8",
        r"[\8]",
        r"\400",
        r"(\1)",
        r"(?P<n>a)(?P<n>b)",
        "[b-a]",
        r"[\w-a]",
        "a{2,1}",
        ")",
        "(?P=n)",
        "(?(1)a)",
        r"\N{DIGIT ONE}",
        r"\ud800",
        "(?-a:b)",
        "(?L)a",
        "(?iu)(?a)a",
        "(?i)\u{10400}",
        "(?au)a",
        "(?|a)",
        "(?&n)",
        "(?P>n)",
        "(*FAIL)",
    ];
    for pattern in refused {
        assert!(KeyFilter::new("", true, Some(pattern)).is_err(), "{pattern}");
    }
}

#[test]
fn a_key_that_takes_too_many_steps_is_undecided_and_not_skipped_as_unmatched() {
    let slow = format!("{}!", "a".repeat(40));
    assert_eq!(taken("", true, Some(r"(a|aa)+\1c"), &slow), Some(Skip::RegexTooSlow));
    let keys = long_keys();
    for pattern in [
        r"(?:[0-9a-z]{0,60}){0,60}!",
        r"[01]*1[01]{900}x",
        r"(?=(?:[01]*1)*x)|(?:[01]*1[01]{900}x)",
        r"(?:(?=(?:(?=(?:(?=.).)*).)*).)*x",
        r"(?:(?<=[01]).|(?<![01]).)*x",
        r"((?:0|1|01)*)\1\1x",
        r"(?:(?=.*)(?:0|1))*x",
    ] {
        let filter = KeyFilter::new("", true, Some(pattern)).unwrap();
        for key in &keys {
            let skipped = filter.skips(key);
            assert!(matches!(skipped, Some(Skip::RegexTooSlow | Skip::Regex)), "{pattern}: {skipped:?}");
        }
    }
}
