//! Tests of addresses.

use super::*;

fn parse(url: &str) -> Result<Address, InvalidAddress> {
    Address::parse(&Secret::new(url))
}

fn mode(url: &str) -> Mode {
    parse(url).unwrap_or_else(|error| panic!("{url}: {error}")).mode
}

#[test]
fn this_machine_needs_no_sslmode() {
    for url in [
        "postgres://u:p@localhost/d",
        "postgres://u:p@127.0.0.1,[::1]:6000/d?sslmode=prefer",
        "postgres://u:p@%2Fvar%2Frun%2Fpostgresql/d",
        "host=/var/run/postgresql user=u sslmode=verify-full",
        "postgres://u:p@db.example/d?hostaddr=127.0.0.1",
    ] {
        assert_eq!(mode(url), Mode::Local, "{url}");
        assert_eq!(parse(url).unwrap().config.get_ssl_mode(), SslMode::Disable, "{url}");
    }
}

#[test]
fn another_machine_without_a_word_about_encryption_is_refused_with_advice() {
    for url in [
        "postgres://u:hunter2@db.example/d",
        "postgres://u:hunter2@db.example/d?sslmode=prefer",
        "postgres://u:hunter2@db.example/d?sslmode=allow",
        "postgres://u:hunter2@db.example/d?sslmode=",
        "postgres://u:hunter2@localhost,db.example/d",
        "postgres://u:hunter2@localhost/d?hostaddr=10.0.0.1",
        "host=db.example user=u password=hunter2",
    ] {
        let error = parse(url).unwrap_err().to_string();
        assert!(error.contains("sslmode=verify-full") && error.contains("sslmode=disable"), "{url}: {error}");
        assert!(!error.contains("hunter2"), "{url}: {error}");
    }
    assert_eq!(mode("postgres://u:p@db.example/d?sslmode=disable"), Mode::Plaintext);
}

#[test]
fn each_mode_with_tls_never_falls_back() {
    for word in ["require", "verify-full"] {
        for host in ["db.example", "localhost", "h1,h2"] {
            let url = format!("postgres://u:p@{host}/d?sslmode={word}&target_session_attrs=read-write");
            assert_eq!(mode(&url), Mode::FullCheck, "{url}");
            assert_eq!(parse(&url).unwrap().config.get_ssl_mode(), SslMode::Require, "{url}");
        }
    }
    assert_eq!(mode("postgres://u:p@db.example/d?sslmode=verify-full&sslrootcert=system"), Mode::FullCheck);
}

#[test]
fn an_address_that_cannot_be_used_says_why_and_hides_the_password() {
    for (url, word) in [
        ("postgres://u:hunter2@h/d?sslmode=hunter2", "sslmode"),
        ("postgres://u:hunter2@h/d?sslmode=require&sslrootcert=/no/ca.pem", "/no/ca.pem"),
        ("postgres://u:hunter2@h/d?sslmode=require&sslcert=/x", "sslkey"),
        ("postgres://u:hunter2@h/d?sslmode=require&sslcrl=/x", "sslcrl"),
        ("postgres://u:hunter2@h/d?sslmode=require&hunter2=/x", "unknown parameter"),
        ("postgres://u:hunter2@h/d?sslmode=require&target_session_attrs=any-thing", "target_session_attrs"),
        ("postgres://u:hunter2@h,%2Fsocket/d?sslmode=require", "Unix sockets"),
        ("postgres://u:hunter2@h:port/d?sslmode=require", "port"),
        ("postgres:///d?password=hunter2", "no host"),
        ("hunter2", "postgres://"),
        ("", "postgres://"),
        ("postgres://u:hun@ter2@h/d?sslmode=verify-full", "%40"),
        ("postgres://u:hun@te/r2@h/d?sslmode=verify-full", "%40"),
        ("postgres://u:hun@te?r2@h/d?sslmode=verify-full", "%40"),
        ("postgres://u:hunter2@h/d?sslmode=verify-ca", "sslrootcert="),
        ("postgres://u:hunter2@h/d?sslmode=verify-ca&sslrootcert=system", "verify-full"),
    ] {
        let error = parse(url).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(word) && !error.contains("hunter2"), "{url}: {error}");
    }
}

#[test]
fn an_address_is_shown_without_its_password() {
    let address = parse("postgres://app:hunter2@h1,h2:6000/labels?sslmode=disable").unwrap();
    assert_eq!(address.hosts(), "h1:5432, h2:6000");
    assert_eq!((address.database(), address.role()), ("labels", "app"));
    assert!(!format!("{address:?}").contains("hunter2"));
}
