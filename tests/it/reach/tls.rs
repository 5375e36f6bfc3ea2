//! W06: TLS with a private authority, a client certificate, a server name; and a proxy in between.

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use super::server::{Authority, Server, config};
use super::{listed, monitor, prometheus, read, read_with, refused, says, warnings};

fn ca(authority: &Authority) -> String {
    format!("ca_file: {}", authority.path("ca.crt").display())
}

#[tokio::test]
async fn w06_a_private_authority_is_trusted_and_no_other() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(&["localhost"]), |_| None).await;
    let url = format!("https://localhost:{}", server.port());
    let keys = format!("http: {{{}}}", ca(&authority));
    assert_eq!(read_with(&url, &keys).await, Ok(1));
    assert_eq!(listed(&url, &keys).await, Ok(0));
    says(&read_with(&url, "").await, &["UnknownIssuer", "set monitor.http.ca_file"]);
    says(&listed(&url, "").await, &["UnknownIssuer", "set alertmanager.http.ca_file"]);
    let stranger = Authority::new();
    let other = format!("http: {{{}}}", ca(&stranger));
    // The file of another authority: nothing else is trusted beside it.
    assert!(read_with(&url, &other).await.is_err());
    assert_eq!(server.asked().iter().filter(|asked| asked.query == "time()").count(), 1);
    let plain = warnings(&prometheus("http://prom:9090", &keys));
    assert!(
        plain
            .iter()
            .any(|text| text.contains("monitor.http.ca_file") && text.contains("not https")),
        "{plain:?}"
    );
}

/// `openssl req -x509` makes a certificate that says of itself that it is an authority; so do many operators.
#[tokio::test]
async fn w06_a_servers_own_certificate_may_stand_for_an_authority() {
    let authority = Authority::new();
    for is_ca in [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.is_ca = is_ca;
        let key = KeyPair::generate().expect("a key");
        let own = params.self_signed(&key).expect("a certificate").pem();
        let path = authority.write("own.crt", &own);
        let server = Server::tls(config(&(own, key.serialize_pem())), |_| None).await;
        let keys = format!("http: {{ca_file: {}}}", path.display());
        let by = |host: &str| format!("https://{host}:{}", server.port());
        assert_eq!(read_with(&by("localhost"), &keys).await, Ok(1));
        // Its name counts all the same.
        says(&read_with(&by("127.0.0.1"), &keys).await, &["set monitor.http.server_name"]);
        assert!(read_with(&by("localhost"), "").await.is_err());
    }
}

#[tokio::test]
async fn w06_a_client_certificate_is_shown_and_a_renewed_one_used() {
    let authority = Authority::new();
    let server = Server::tls(authority.server_for_clients(&["localhost"]), |_| None).await;
    let url = format!("https://localhost:{}", server.port());
    let (crt, key) = (authority.path("client.crt"), authority.path("client.key"));
    let write = |(chain, private): (String, String)| {
        std::fs::write(&crt, chain).expect("written");
        std::fs::write(&key, private).expect("written");
    };
    write(authority.issue(&["mape-k"]));
    let mine = format!("cert_file: {}, key_file: {}", crt.display(), key.display());
    let keys = format!("http: {{{}, {mine}}}", ca(&authority));
    let mut monitor = monitor(&prometheus(&url, &keys));
    assert_eq!(read(&monitor.observe(&[], None).await), Ok(1));
    assert_eq!(listed(&url, &keys).await, Ok(0));
    let without = format!("http: {{{}}}", ca(&authority));
    says(
        &read_with(&url, &without).await,
        &["It asks for a client certificate", "monitor.http.cert_file"],
    );
    says(&listed(&url, &without).await, &["alertmanager.http.cert_file"]);
    // Of another authority, as if it had expired; then renewed in place.
    write(Authority::new().issue(&["mape-k", "longer"]));
    assert!(read(&monitor.observe(&[], None).await).is_err());
    write(authority.issue(&["mape-k", "renewed", "longer"]));
    assert_eq!(read(&monitor.observe(&[], None).await), Ok(1));
    // A key of another certificate is said at once.
    std::fs::write(&key, authority.issue(&["x"]).1).expect("written");
    let text = refused(&prometheus(&url, &keys));
    assert!(
        text.contains("monitor.http.key_file") && text.contains("not the key of cert_file"),
        "{text}"
    );
}

/// The URL has an address or another name than the certificate, and the server answers by the name that it is asked for.
#[tokio::test]
async fn w06_a_server_name_is_asked_for_and_verified() {
    let authority = Authority::new();
    let server = Server::tls(authority.server_by_name("prometheus.internal"), |_| None).await;
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}", server.port());
        let named = format!("http: {{{}, server_name: prometheus.internal}}", ca(&authority));
        assert_eq!(read_with(&url, &named).await, Ok(1), "{host}");
        let before = server.asked().len();
        assert_eq!(server.asked()[before - 1].header("host"), format!("{host}:{}", server.port()));
        let without = format!("http: {{{}}}", ca(&authority));
        assert!(read_with(&url, &without).await.is_err(), "{host}");
        let wrong = format!("http: {{{}, server_name: other.internal}}", ca(&authority));
        assert!(read_with(&url, &wrong).await.is_err(), "{host}");
        assert_eq!(server.asked().len(), before, "{host}: nothing was sent without the name");
    }
    let by_default = Server::tls(authority.server(&["prometheus.internal"]), |_| None).await;
    let url = format!("https://127.0.0.1:{}", by_default.port());
    says(
        &read_with(&url, &format!("http: {{{}}}", ca(&authority))).await,
        &["another name", "set monitor.http.server_name"],
    );
}

#[tokio::test]
async fn w06_a_scheme_that_the_port_does_not_speak_is_said() {
    let plain = Server::plain(|_| None).await;
    let url = format!("https://127.0.0.1:{}", plain.port());
    says(&read_with(&url, "").await, &["write http:// in the URL"]);
    assert_eq!(read_with(&url.replace("https", "http"), "").await, Ok(1));
}

/// A proxy that opens tunnels for one user, all of them to one place.
async fn tunnel(to: u16) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && head.len() < 4096 {
                    head.push(near.read_u8().await?);
                }
                let head = String::from_utf8_lossy(&head).to_lowercase();
                if !head.contains("proxy-authorization: basic bwu6chc=") {
                    let refusal =
                        b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
                    return near.write_all(refusal).await;
                }
                assert!(head.starts_with("connect prometheus.internal:9090 "), "{head}");
                near.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
                let mut far = TcpStream::connect(("127.0.0.1", to)).await?;
                copy_bidirectional(&mut near, &mut far).await.map(|_| ())
            });
        }
    });
    port
}

#[tokio::test]
async fn w06_https_goes_through_a_proxys_tunnel() {
    let authority = Authority::new();
    let server = Server::tls(authority.server(&["prometheus.internal"]), |_| None).await;
    let port = tunnel(server.port()).await;
    let url = "https://prometheus.internal:9090";
    let keys = |user: &str| {
        format!("http: {{{}, proxy: \"http://{user}127.0.0.1:{port}\"}}", ca(&authority))
    };
    assert_eq!(read_with(url, &keys("me:pw@")).await, Ok(1));
    says(&read_with(url, &keys("")).await, &["give them in monitor.http.proxy"]);
}
