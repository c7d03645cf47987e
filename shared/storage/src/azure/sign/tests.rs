//! Expected texts and signatures come from Microsoft's documentation of Shared Key and from Microsoft's client
//! (`azure-storage-blob` 12.31.1 for Python), given the same requests.

use std::sync::Arc;

use longshore_model::FailureReason;
use prometheus::Registry;

use super::super::Azure;
use super::*;
use crate::wire::Wire;
use crate::{Operator, Storage, StorageMetrics, WireOptions};

/// The emulator's account key, which Microsoft publishes.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn time() -> Timestamp {
    "2026-06-26T23:39:12Z".parse().unwrap()
}

fn signature(account: &str, request: http::request::Builder, body: &'static [u8]) -> String {
    let mut request = request.body(Bytes::from_static(body)).unwrap();
    headers(&mut request, &Account::new(account, KEY).unwrap(), time()).unwrap();
    let value = request.headers()[header::AUTHORIZATION].to_str().unwrap();
    value.strip_prefix(&format!("SharedKey {account}:")).unwrap().to_owned()
}

fn request(method: &str, target: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://myaccount.blob.core.windows.net{target}"))
}

#[test]
fn the_documented_request_for_metadata_signs_the_documented_text() {
    let request = request("GET", "/mycontainer?restype=container&comp=metadata&timeout=20")
        .header("x-ms-version", "2015-02-21")
        .header("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(
        string_to_sign(&request, "myaccount"),
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
         /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
    );
}

#[test]
fn a_listing_is_signed_as_microsofts_client_signs_it() {
    let listing = request(
        "GET",
        "/photos?restype=container&comp=list&maxresults=1000&prefix=a%2Fb%20c%2B&startFrom=a%2Fb%20c%2B%C3%BC",
    );
    assert_eq!(signature("myaccount", listing, b""), "T3DfgnJRTl9VD/WhF8BX9+lzK6RvkpuNJ9wb5CGf5Zo=");
}

#[test]
fn a_request_to_the_emulator_is_signed_as_microsofts_client_signs_it() {
    let get = Request::get("http://127.0.0.1:10000/devstoreaccount1/photos/a%20b/%25%2B.json");
    assert_eq!(signature("devstoreaccount1", get, b""), "VnWZIoUOflaeKfjzTpAh9HIWhPYy3puztCCik5qrIvk=");
}

#[test]
fn a_range_is_signed_at_its_documented_position() {
    let range = request("GET", "/c/k").header("range", "bytes=0-9").body(Bytes::new()).unwrap();
    assert_eq!(string_to_sign(&range, "myaccount"), "GET\n\n\n\n\n\n\n\n\n\n\nbytes=0-9\n/myaccount/c/k");
}

#[test]
fn puts_and_deletions_are_signed_as_microsofts_client_signs_them() {
    let put = |key: &str, length: &str| {
        request("PUT", key).header("x-ms-blob-type", "BlockBlob").header("content-length", length)
    };
    let json = put("/photos/out/1", "8").header("content-type", "application/json");
    assert_eq!(signature("myaccount", json, b"{\"a\": 1}"), "1cUOe6DjvHKDlEZAm4CglIFq4He+fmwgkXonLkH8080=");
    let empty = put("/photos/out/empty", "0");
    assert_eq!(signature("myaccount", empty, b""), "SDbGanTOhjYd10HYlAkgDShtL/k/8KG9LWczQ/FZqvk=");
    let deletion = request("DELETE", "/photos/out/1").header("x-ms-delete-snapshots", "include");
    assert_eq!(signature("myaccount", deletion, b""), "ZuXa/iqdnO3wYMymwawJS6ZOjMFS3MARFQUQM7tQF74=");
}

fn signed_url(endpoint: Option<&str>) -> String {
    let connection = longshore_model::AzureConnection {
        container: "photos".into(),
        endpoint: endpoint.map(Into::into),
        ..Default::default()
    };
    let container = Container::new(&connection, "myaccount", None).unwrap();
    let account = Account::new("myaccount", KEY).unwrap();
    url(&container, &account, "a b/ü+%?#.png", Duration::from_secs(3_600), time()).unwrap()
}

#[test]
fn a_url_is_signed_as_microsofts_client_signs_it() {
    assert_eq!(
        signed_url(None),
        "https://myaccount.blob.core.windows.net/photos/a%20b/%C3%BC%2B%25%3F%23.png?sv=2020-12-06&spr=https\
         &se=2026-06-27T00%3A39%3A12Z&sr=b&sp=r&sig=eaveoo2RiY6IBfB5gFuAFav2gko3rkCoSUDCi9N90iM%3D"
    );
}

#[test]
fn a_url_of_an_endpoint_without_tls_works_without_tls() {
    let url = signed_url(Some("http://127.0.0.1:10000/myaccount"));
    assert!(url.contains("&spr=https%2Chttp&"), "{url}");
    assert!(url.ends_with("&sig=Ta7Ym4kc%2BpaR6ZgX4WZXgRK4M2Z4exPe55EeyNtMkiw%3D"), "{url}");
}

#[test]
fn debug_output_of_a_request_hides_the_signature() {
    let mut request = request("GET", "/photos").body(Bytes::new()).unwrap();
    headers(&mut request, &Account::new("myaccount", KEY).unwrap(), time()).unwrap();
    assert!(!format!("{request:?}").contains("SharedKey"));
}

#[tokio::test]
async fn a_key_that_contains_fields_of_a_signature_gets_no_presigned_url() {
    let connection = longshore_model::AzureConnection { container: "photos".into(), ..Default::default() };
    let secrets = longshore_model::AzureSecrets {
        account_name: Some(longshore_model::Secret::new("myaccount")),
        account_key: Some(longshore_model::Secret::new(KEY)),
    };
    let wire =
        Arc::new(Wire::new(WireOptions::default(), StorageMetrics::register(&Registry::new()).unwrap()).unwrap());
    let azure = Azure::open(&connection, String::new(), &secrets, &Operator::default(), wire).unwrap();
    let presign = async |key| azure.presign(key, Duration::from_secs(60)).await.map_err(|error| error.reason);
    // Without the check, these signatures would also be valid for `of-others`, in two forms of the signed text.
    for key in ["of-others\n\n\n\n2020-12-06\nb\n\n\n\n\n\n\n", "of-others\n\n2015-02-21\n\n\n\n\n"] {
        assert_eq!(presign(key).await.unwrap_err(), FailureReason::NoSignedUrls);
    }
    let url = presign("new\nline").await.unwrap();
    assert!(url.expose().starts_with("https://myaccount.blob.core.windows.net/photos/new%0Aline?"));
}
