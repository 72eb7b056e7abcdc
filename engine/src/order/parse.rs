//! Bytes to an [`Order`].

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{Fault, OrderError, shown};
use super::{FeatureOrder, Order, RegionOrder, SCHEMA, check};

/// Largest order in bytes.
pub const MAX_BYTES: usize = 1 << 20;

/// Reads an order, TOML or JSON by its content, and checks everything that can be checked without its files and without the
/// catalogue. `name` is the order's name in error messages.
pub fn parse(bytes: &[u8], name: &str) -> Result<Order, OrderError> {
    let (text, json) = text_of(bytes, name)?;
    let order = read(text, json).map_err(|(at, fault)| {
        // Keys of another version are not misspelt: say what is really wrong.
        match foreign_schema(text, json) {
            Some(found) if !matches!(fault, Fault::Syntax { .. }) => OrderError::new(name, "schema", Fault::Schema { found }),
            _ => OrderError::new(name, at, fault),
        }
    })?;
    Order::checked(&order, name)?;
    Ok(order)
}

/// The tables of an order that say what is fitted where.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Features {
    #[serde(default)]
    pub region: Vec<RegionOrder>,
    pub feature: Vec<FeatureOrder>,
}

/// Reads the `[[feature]]` and `[[region]]` tables of a whole order, or of a file that has nothing else.
pub fn parse_features(bytes: &[u8], name: &str) -> Result<Features, OrderError> {
    let (text, json) = text_of(bytes, name)?;
    if has_schema(text, json) {
        return parse(bytes, name).map(|Order { region, feature, .. }| Features { region, feature });
    }
    let found: Features = read(text, json).map_err(|(at, fault)| OrderError::new(name, at, fault))?;
    let checked = check::regions(&found.region).and_then(|regions| check::features(&found.feature, &regions));
    checked.map_err(|(at, fault)| OrderError::new(name, at, fault))?;
    Ok(found)
}

/// UTF-8 text without its mark, and whether it is JSON: no TOML document begins with a brace, every JSON object does.
fn text_of<'a>(bytes: &'a [u8], name: &str) -> Result<(&'a str, bool), OrderError> {
    if bytes.len() > MAX_BYTES {
        return Err(OrderError::new(name, "", Fault::TooLarge { bytes: bytes.len(), allowed: MAX_BYTES }));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| OrderError::new(name, "", Fault::Encoding { byte: e.valid_up_to() }))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Ok((text, text.trim_start().starts_with('{')))
}

fn read<T: DeserializeOwned>(text: &str, json: bool) -> Result<T, Misread> {
    if json { from_json(text) } else { from_toml(text) }
}

type Misread = (String, Fault);

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Misread> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|e| {
        let (key, inner) = (e.path().to_string(), e.into_inner());
        let at = place(inner.line(), inner.column(), &key);
        let text = inner.to_string();
        let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(detail, _)| detail);
        (at, if inner.is_data() { misfit(detail) } else { Fault::Syntax { language: "JSON", detail: plain(detail) } })
    })?;
    json.end().map_err(|e| {
        let detail = "something follows the closing brace".into();
        (place(e.line(), e.column(), ""), Fault::Syntax { language: "JSON", detail })
    })?;
    Ok(value)
}

fn from_toml<T: DeserializeOwned>(text: &str) -> Result<T, Misread> {
    let line_of = |e: &toml::de::Error, key: &str| {
        let start = e.span().map_or(0, |s| s.start).min(text.len());
        let before = &text.as_bytes()[..start]; // start is at most the length
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        place(line, column, key)
    };
    let toml = toml::Deserializer::parse(text).map_err(|e| (line_of(&e, ""), syntax_of_toml(&e, text)))?;
    serde_path_to_error::deserialize(toml).map_err(|e| {
        let (key, inner) = (e.path().to_string(), e.into_inner());
        (line_of(&inner, &key), misfit(inner.message()))
    })
}

fn syntax_of_toml(e: &toml::de::Error, text: &str) -> Fault {
    if e.message().contains("duplicate key") {
        let key = e.span().and_then(|span| text.get(span)).unwrap_or("");
        return Fault::Duplicate { what: "key", name: shown(key) };
    }
    Fault::Syntax { language: "TOML", detail: plain(e.message()) }
}

fn place(line: usize, column: usize, key: &str) -> String {
    match key {
        "" | "." => format!("line {line}, column {column}"),
        key => format!("line {line}, column {column}, key {}", plain(key).chars().take(80).collect::<String>()),
    }
}

/// Sorts what serde says of well-formed text that is no order. Its sentences have stable beginnings (`serde::de::Error`;
/// `unexpected keys` is TOML's own); `testdata/broken/orders` holds one file for each.
fn misfit(detail: &str) -> Fault {
    let detail = plain(detail).replace("expected f64", "expected a number");
    if detail.starts_with("unknown field") || detail.starts_with("unexpected keys") {
        Fault::UnknownKey { detail }
    } else if detail.starts_with("missing field") {
        Fault::Missing { detail }
    } else if let Some(key) = detail.strip_prefix("duplicate field") {
        Fault::Duplicate { what: "key", name: key.trim().into() }
    } else {
        Fault::Type { detail }
    }
}

/// A parser's message as one line without control characters, cut at 400 characters: it may quote the order.
fn plain(message: &str) -> String {
    let printable = message.chars().map(|c| if c.is_control() { ' ' } else { c });
    let line: String = printable.take(400).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The value of `schema` where it is there and is not the one this version reads.
fn foreign_schema(text: &str, json: bool) -> Option<String> {
    schema_of(text, json).filter(|s| s != SCHEMA).map(|s| shown(&s))
}

fn has_schema(text: &str, json: bool) -> bool {
    schema_of(text, json).is_some()
}

fn schema_of(text: &str, json: bool) -> Option<String> {
    #[derive(Deserialize)]
    struct Peek {
        schema: String,
    }
    let peek = if json { serde_json::from_str::<Peek>(text).ok() } else { toml::from_str::<Peek>(text).ok() };
    peek.map(|p| p.schema)
}
