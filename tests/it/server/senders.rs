//! Who may deliver alerts where no token proves it.

use mape_k::domain::secret::Secret;
use mape_k::monitor::AlertmanagerSettings;
use reqwest::StatusCode;

use super::intake::{Counted, counted, fixture};
use super::{Setup, read};

/// Issue 14: without a token, what a browser or a proxy sends is refused and nothing of it kept; Alertmanager's own requests,
/// and with the token anybody's, are taken.
#[tokio::test]
async fn without_a_webhook_token_browsers_and_proxies_are_refused() {
    let token = Secret::new("s3cret".to_owned());
    for webhook_token in [None, Some(token)] {
        let is_open = webhook_token.is_none();
        let alertmanager =
            AlertmanagerSettings { webhook_token, ..AlertmanagerSettings::default() };
        let surface = Setup { alertmanager, ..Setup::default() }.serve().await;
        let headers = [
            ("origin", "http://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "same-origin"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("via", "1.1 proxy"),
        ];
        for (name, value) in headers {
            let request = surface
                .alerts_request(fixture("webhook_critical_firing.json"))
                .header(name, value)
                .bearer_auth("s3cret");
            let (status, body) = read(request.send().await.expect("an answer")).await;
            if is_open {
                assert_eq!(status, StatusCode::FORBIDDEN, "{name}");
                assert!(body.to_string().contains("alertmanager.webhook_token"), "{body}");
            } else {
                assert_eq!(status, StatusCode::OK, "{name}");
            }
        }
        if is_open {
            assert_eq!(counted(&surface).await, Counted::default());
            assert!(!surface.woken());
            assert!(surface.knowledge.inbox().await.expect("the inbox").is_empty());
            let refused = surface.metric("mape_k_webhook_requests_total{code=\"403\"}").await;
            assert_eq!(refused, headers.len() as u64);
            let plain = surface.post_alerts(fixture("webhook_critical_firing.json")).await;
            assert_eq!(plain.0, StatusCode::OK);
        }
        assert_eq!(counted(&surface).await.accepted, 1);
        surface.stop().await;
    }
}
