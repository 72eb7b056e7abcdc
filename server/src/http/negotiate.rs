//! Which of a judgement's forms a client wants (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};

/// The forms, the most binding first: it is taken where the client has no preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// The signed document.
    Jws,
    /// What is signed, for reading.
    Payload,
    /// A page for people.
    Report,
}

impl Form {
    const ALL: [Form; 3] = [Form::Jws, Form::Payload, Form::Report];

    pub fn media_type(self) -> &'static str {
        match self {
            Form::Jws => "application/jose+json",
            Form::Payload => "application/json",
            Form::Report => "text/html; charset=utf-8",
        }
    }

    fn range(self) -> (&'static str, &'static str) {
        match self {
            Form::Jws => ("application", "jose+json"),
            Form::Payload => ("application", "json"),
            Form::Report => ("text", "html"),
        }
    }
}

/// The form of the highest quality, or `None` where none is acceptable. Without `Accept` anything is.
pub(super) fn form(headers: &HeaderMap) -> Option<Form> {
    let ranges: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).collect();
    if ranges.iter().all(|r| r.trim().is_empty()) {
        return Some(Form::Jws);
    }
    let best = Form::ALL.into_iter().map(|form| (quality(form, &ranges), form)).reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    (best.0 > 0).then_some(best.1)
}

/// Quality in thousandths that the most specific matching range gives.
fn quality(form: Form, ranges: &[&str]) -> u32 {
    let (kind, subtype) = form.range();
    let matching = ranges.iter().filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let (k, s) = parts.next()?.split_once('/')?;
        let specificity = match (k, s) {
            ("*", "*") => 0,
            (k, "*") if k.eq_ignore_ascii_case(kind) => 1,
            (k, s) if k.eq_ignore_ascii_case(kind) && s.eq_ignore_ascii_case(subtype) => 2,
            _ => return None,
        };
        let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
        let thousandths = q.map_or(1.0, |q| q.parse::<f64>().unwrap_or(0.0)).clamp(0.0, 1.0) * 1000.0;
        Some((specificity, thousandths as u32))
    });
    matching.max_by_key(|(specificity, _)| *specificity).map_or(0, |(_, q)| q)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> Option<Form> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        form(&headers)
    }

    #[test]
    fn the_named_form_is_given_and_the_signed_one_where_none_is_named() {
        assert_eq!(form(&HeaderMap::new()), Some(Form::Jws));
        assert_eq!(chosen("*/*"), Some(Form::Jws));
        assert_eq!(chosen("application/jose+json"), Some(Form::Jws));
        assert_eq!(chosen("application/json"), Some(Form::Payload));
        assert_eq!(chosen("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Some(Form::Report));
    }

    #[test]
    fn qualities_decide_and_zero_refuses() {
        assert_eq!(chosen("application/json;q=0.5, text/html;q=0.7"), Some(Form::Report));
        assert_eq!(chosen("application/jose+json;q=0, */*;q=0.1"), Some(Form::Payload));
        assert_eq!(chosen("image/png"), None);
        assert_eq!(chosen("application/jose+json;q=nonsense"), None);
    }
}
