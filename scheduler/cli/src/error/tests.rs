use serde_json::json;

use super::*;

#[test]
fn a_refusal_shows_detail_code_and_every_field() {
    let body = json!({
        "detail": "Validation error", "code": "validation_error",
        "validation_errors": {"bucket": ["This field is required."], "non_field_errors": ["No.", "Never.\u{1b}[2J"]}
    });
    let expected =
        "Validation error [validation_error]\n  bucket (--bucket): This field is required.\n  No.\n  Never.\\u{1b}[2J";
    assert_eq!(CliError::Api { body }.to_string(), expected);

    let body = json!({"detail": "No.", "code": "denied", "validation_errors": {"bucket": ["No."]}});
    assert_eq!(CliError::Api { body }.to_string(), "No. [denied]\n  field: bucket (--bucket)");

    let body = json!({"detail": "No.", "code": "denied", "validation_errors": {"non_field_errors": ["No."]}});
    assert_eq!(CliError::Api { body }.to_string(), "No. [denied]");
}

#[test]
fn an_error_for_programs_has_the_fields_of_every_error() {
    let body = json!({"detail": "No.", "code": "denied", "status_code": 400, "validation_errors": {"bucket": ["No."]}});
    assert_eq!(
        CliError::Api { body }.to_json(),
        json!({"event": "error", "code": "denied", "message": "No.", "hint": null, "fields": {"bucket": ["No."]},
               "status": 400})
    );
    assert_eq!(
        CliError::NotFound { what: "storage", name: Named::Id(7) }.to_json(),
        json!({"event": "error", "code": "not_found", "message": "storage 7 not found, or this token cannot access it",
               "hint": "`longshore storage list` shows the storages of this token", "fields": null, "status": null})
    );
}

#[test]
fn the_page_explains_every_code_of_the_command_line() {
    let text = || String::new();
    let errors = [
        CliError::BadUrl { url: text() },
        CliError::Unreachable { url: text(), cause: text() },
        CliError::Unauthorized { url: text(), detail: text(), status: None },
        CliError::NotLongshore { url: text(), what: text() },
        CliError::NotFound { what: "storage", name: Named::Id(1) },
        CliError::Ambiguous { what: "storage", title: text(), candidates: text() },
        CliError::OptionNotApplicable { option: text(), to: text(), instead: text() },
        CliError::InvalidOption { option: text(), fault: text() },
        CliError::NothingToChange { command: "storage update" },
        CliError::Unconfirmed { takes: text(), keeps: text() },
        CliError::NoProfile { name: text(), known: text() },
        CliError::NoHome,
        CliError::PublicProfiles { path: PathBuf::new() },
        CliError::Profiles { path: PathBuf::new(), fault: text() },
        CliError::BadDatabaseUrl { fault: text() },
        CliError::Database { text: text() },
        CliError::Running { programs: text() },
        CliError::Due { due: text() },
        CliError::NoOwner { text: text() },
        CliError::NotQuarantined { id: 1 },
        CliError::UnreadableFile { path: text(), cause: std::io::Error::other("closed") },
        CliError::Input(std::io::Error::other("closed")),
    ];
    let page = include_str!("../../README.md");
    for error in &errors {
        assert!(page.contains(&format!("\n| `{}` | ", error.code())), "explain {}", error.code());
    }
    assert!(page.contains(&format!("\n| `{}` | ", Exit::USAGE_CODE)), "explain {}", Exit::USAGE_CODE);
}

#[test]
fn a_secret_in_place_of_its_file_is_not_shown() {
    let error = |path: &str| CliError::UnreadableFile { path: path.to_owned(), cause: std::io::Error::other("closed") };
    assert!(error("key.json").to_string().starts_with("cannot read the file `key.json`: closed\nhint: "));
    for secret in ["{\"private_key\": \"hunter2\"}", " {hunter2", "hunter2\nhunter2"] {
        let text = error(secret).to_string();
        assert!(text.contains("in place of its path") && !text.contains("hunter2"), "{text}");
    }
}
