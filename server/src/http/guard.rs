//! What every request passes: only a loopback name may be asked for, no page of another origin may ask, and answers carry the headers that keep
//! a browser from doing more with them than showing them.
//!
//! Without the first, a page could reach a loopback service by rebinding its own name (DNS rebinding); without the second, by a form.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Service;
use super::problem::Problem;

/// Nothing but inline styles and pictures: a report is self-contained and runs nothing.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox";

pub(super) async fn guard(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let mut response = match refused(request.headers(), service.allow_remote) {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn refused(headers: &HeaderMap, allow_remote: bool) -> Option<Problem> {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    if !allow_remote && !is_loopback(host) {
        let detail = "the service answers under localhost or a loopback address only";
        return Some(Problem::new(StatusCode::MISDIRECTED_REQUEST, "http.host", detail));
    }
    let origin = headers.get(header::ORIGIN)?;
    let same = origin.to_str().ok().and_then(|o| o.split_once("://")).is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host));
    (!same).then(|| Problem::new(StatusCode::FORBIDDEN, "http.origin", "requests of web pages of another origin are refused"))
}

fn is_loopback(authority: &str) -> bool {
    let name = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, origin: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        headers
    }

    #[test]
    fn loopback_names_are_answered_and_rebound_names_are_not() {
        for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"] {
            assert_eq!(refused(&headers(host, None), false), None, "{host}");
        }
        for host in ["evil.example:8080", "192.168.1.2", "localhost.evil.example", ""] {
            assert!(refused(&headers(host, None), false).is_some(), "{host}");
            assert_eq!(refused(&headers(host, None), true), None, "{host}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_refused() {
        assert_eq!(refused(&headers("localhost:8080", Some("http://localhost:8080")), false), None);
        for origin in ["http://evil.example", "http://localhost:9090", "null"] {
            assert!(refused(&headers("localhost:8080", Some(origin)), false).is_some(), "{origin}");
        }
    }
}
