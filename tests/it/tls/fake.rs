//! A server that pretends to be PostgreSQL and writes down what it gets.

use std::sync::{Arc, Mutex};

use longshore_rig::certificates::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The first message of a client that wants TLS.
pub(super) const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// `AuthenticationCleartextPassword`: send me your password as it is.
const PASSWORD_WANTED: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 3];

/// What the server does when a client wants TLS.
pub(super) enum Tls {
    /// It says that it has none, as an attacker would.
    Denied,
    /// It shows this certificate.
    Shown(Certificate),
}

/// A running server.
pub(super) struct FakePostgres {
    pub(super) port: u16,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Seen {
    /// All bytes of all clients, as far as they are not encrypted.
    pub(super) plain: Vec<u8>,
    /// What clients sent once they accepted the certificate.
    pub(super) encrypted: Vec<u8>,
    pub(super) connections: usize,
}

impl FakePostgres {
    pub(super) async fn start(tls: Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (seen, tls) = (Arc::<Mutex<Seen>>::default(), Arc::new(tls));
        let notes = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                notes.lock().expect("no panic").connections += 1;
                // A client that disconnects ends only its connection.
                tokio::spawn({
                    let (tls, notes) = (Arc::clone(&tls), Arc::clone(&notes));
                    async move { serve(stream, &tls, &notes).await.ok() }
                });
            }
        });
        Self { port, seen }
    }

    /// What it has seen so far.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().expect("no panic").clone()
    }
}

async fn serve(mut stream: TcpStream, tls: &Tls, seen: &Mutex<Seen>) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        seen.lock().expect("no panic").plain.extend(&buffer[..length]);
        match tls {
            Tls::Denied if buffer[..length] == SSL_REQUEST => stream.write_all(b"N").await?,
            Tls::Denied => stream.write_all(&PASSWORD_WANTED).await?,
            Tls::Shown(certificate) => {
                stream.write_all(b"S").await?;
                let mut stream = acceptor(certificate).accept(stream).await?;
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return Ok(());
                    }
                    seen.lock().expect("no panic").encrypted.extend(&buffer[..length]);
                    stream.write_all(&PASSWORD_WANTED).await?;
                }
            }
        }
    }
}

fn acceptor(certificate: &Certificate) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(&certificate.chain).expect("a file").collect::<Result<_, _>>();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).expect("a key");
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.expect("versions").with_no_client_auth().with_single_cert(chain.expect("certificates"), key);
    TlsAcceptor::from(Arc::new(config.expect("a certificate with its key")))
}
