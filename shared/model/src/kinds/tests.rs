//! Properties of the declarations of all kinds.

use std::collections::BTreeSet;

use super::*;

fn names(fields: impl Iterator<Item = &'static Field>) -> Vec<&'static str> {
    fields.map(|field| field.name).collect()
}

fn keys(json: &impl Serialize) -> BTreeSet<String> {
    let Json::Object(object) = serde_json::to_value(json).unwrap() else { panic!("an object") };
    object.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn the_declared_fields_are_those_that_adapters_read() {
    for kind in StorageKind::ALL {
        let data = kind.data();
        let connection = Connection::blank(*kind, Direction::Import);
        let plain = data.connection_fields().filter(|field| field.secrecy().is_none());
        let mut declared: BTreeSet<String> = plain.map(|field| field.name.to_owned()).collect();
        declared.insert("kind".to_owned());
        assert_eq!(declared, keys(&connection), "{kind}");
        let texts: Vec<_> = Secrets::none(*kind).texts().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names(data.secret_fields()), texts, "{kind}");
    }
}

#[test]
fn a_field_is_declared_once_and_says_what_it_means_in_one_cell() {
    for kind in StorageKind::ALL {
        let data = kind.data();
        let all = names(data.fields());
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{kind}: {all:?}");
        assert!(all.contains(&data.place), "{kind}");
        let flags: Vec<_> = data.fields().filter_map(|field| field.flag).map(|flag| flag.name).collect();
        assert_eq!(flags.iter().collect::<BTreeSet<_>>().len(), flags.len(), "{kind}: {flags:?}");
        for Field { name, about, example, .. } in data.fields() {
            assert!(!about.contains(['|', '\n']) && !about.ends_with('.'), "{kind} {name}: {about}");
            assert!(about.starts_with(|c: char| c.is_uppercase()), "{kind} {name}: {about}");
            let parsed = example.map(serde_json::from_str::<Json>);
            assert!(!matches!(parsed, Some(Err(_))), "{kind} {name}: {example:?}");
        }
    }
}

#[test]
fn secrets_of_every_kind_come_back_from_what_is_sealed() {
    for kind in StorageKind::ALL {
        let none = Secrets::none(*kind);
        assert_eq!(Secrets::read(*kind, &none.write()).unwrap(), none);
        let changes = none.texts().into_iter().map(|(name, _)| (name, Some(Secret::new(format!("{name}\n\"")))));
        let full = none.with(&changes.collect()).unwrap();
        assert_eq!(Secrets::read(*kind, &full.write()).unwrap(), full);
        for (name, text) in full.texts() {
            assert_eq!(text.unwrap().expose(), format!("{name}\n\""));
        }
        let error = Secrets::read(*kind, &Secret::new("[\"hunter2\"")).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }
}

#[test]
fn a_change_of_secrets_replaces_removes_and_keeps() {
    let secrets = |id: &str, key: Option<&str>| {
        Secrets::Azure(AzureSecrets { account_name: Some(Secret::new(id)), account_key: key.map(Secret::new) })
    };
    let stored = secrets("a", Some("k"));
    assert_eq!(stored.with(&BTreeMap::new()).unwrap(), stored);
    let changes = BTreeMap::from([("account_name", Some(Secret::new("b"))), ("account_key", None)]);
    assert_eq!(stored.with(&changes).unwrap(), secrets("b", None));
}
