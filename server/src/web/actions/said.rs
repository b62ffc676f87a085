//! A form's fields as the request that the API would be sent, so that the API's own types read them.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::domain::field::FieldError;
use crate::service::Failure;
use crate::web::fields::Fields;

/// A request in the making.
pub(super) struct Said<'a> {
    fields: &'a Fields,
    body: Map<String, Value>,
    complaints: Vec<FieldError>,
}

impl<'a> Said<'a> {
    pub(super) fn of(fields: &'a Fields) -> Said<'a> {
        Said {
            fields,
            body: Map::new(),
            complaints: Vec::new(),
        }
    }

    fn put(mut self, name: &str, value: Value) -> Said<'a> {
        self.body.insert(name.to_owned(), value);
        self
    }

    fn complain(mut self, name: &str, detail: &str) -> Said<'a> {
        self.complaints.push(FieldError::new(name, detail));
        self
    }

    /// Text, also where it is empty.
    pub(super) fn text(self, name: &str) -> Said<'a> {
        let value = json!(self.fields.get(name));
        self.put(name, value)
    }

    /// Text, left out where there is none.
    pub(super) fn optional(self, name: &str) -> Said<'a> {
        match self.fields.some(name) {
            Some(text) => self.put(name, json!(text)),
            None => self,
        }
    }

    /// One of several; it is asked for.
    pub(super) fn choice(self, name: &str) -> Said<'a> {
        match self.fields.some(name) {
            Some(text) => self.put(name, json!(text)),
            None => self.complain(name, "choose one"),
        }
    }

    pub(super) fn tick(self, name: &str) -> Said<'a> {
        let is_set = self.fields.is_set(name);
        self.put(name, json!(is_set))
    }

    /// A number, left out where there is none; a percent sign after it is fine.
    pub(super) fn number(self, name: &str) -> Said<'a> {
        let Some(text) = self.fields.some(name) else {
            return self;
        };
        match text.trim_end_matches(['%', ' ']).parse::<f64>() {
            Ok(number) if number.is_finite() => self.put(name, json!(number)),
            _ => self.complain(name, "is a number, such as 12.5"),
        }
    }

    /// The same where it must be there.
    pub(super) fn needed_number(self, name: &str) -> Said<'a> {
        match self.fields.some(name) {
            Some(_) => self.number(name),
            None => self.complain(name, "is a number, such as 12.5"),
        }
    }

    /// A whole number, left out where there is none.
    pub(super) fn whole(self, name: &str) -> Said<'a> {
        let Some(text) = self.fields.some(name) else {
            return self;
        };
        match text.parse::<u64>() {
            Ok(number) => self.put(name, json!(number)),
            Err(_) => self.complain(name, "is a whole number"),
        }
    }

    /// A day and a time in UTC, as browsers write them or as they are written everywhere else.
    pub(super) fn moment(self, name: &str) -> Said<'a> {
        let text = self.fields.get(name).replace(' ', "T");
        let whole = match (text.ends_with('Z'), text.matches(':').count()) {
            (true, _) => text,
            (false, 1) => format!("{text}:00Z"),
            (false, _) => format!("{text}Z"),
        };
        match whole.parse::<chrono::DateTime<chrono::Utc>>() {
            Ok(at) => self.put(name, json!(at)),
            Err(_) => self.complain(name, "is a day and a time in UTC, such as 2026-12-01T08:00"),
        }
    }

    /// The keys in a field, one a line, as they are.
    pub(super) fn keys(self, name: &str) -> Said<'a> {
        let keys = json!(self.fields.keys(name));
        self.put(name, keys)
    }

    /// The names that are chosen, written with blanks or commas between.
    pub(super) fn names(self, name: &str) -> Said<'a> {
        let text = self.fields.get(name);
        let names = text.split([',', ' ', '\n']).filter(|name| !name.is_empty());
        let names: Vec<&str> = names.collect();
        self.put(name, json!(names))
    }

    /// Something that was made of other fields.
    pub(super) fn with(self, name: &str, value: Value) -> Said<'a> {
        self.put(name, value)
    }

    /// A share and how long it is held, one step a line: `10 24h`.
    pub(super) fn steps(self, name: &str) -> Said<'a> {
        let mut steps = Vec::new();
        for line in self.fields.lines(name) {
            let words: Vec<&str> = line.split([' ', ':', '%', ',']).collect();
            let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
            match words.as_slice() {
                [percent, hold] if percent.parse::<f64>().is_ok_and(f64::is_finite) => {
                    let percent = percent.parse::<f64>().unwrap_or_default();
                    steps.push(json!({ "percent": percent, "hold": hold }));
                }
                _ => {
                    let detail = "has a share and how long it is held on each line, such as 10 24h";
                    return self.complain(name, detail);
                }
            }
        }
        self.put(name, json!(steps))
    }

    /// What the API reads of it.
    ///
    /// # Errors
    /// Everything that cannot be read, by field.
    pub(super) fn read<T: DeserializeOwned>(mut self) -> Result<T, Failure> {
        if !self.complaints.is_empty() {
            // The reason is asked for by the type itself, which is not made then.
            if self
                .body
                .get("reason")
                .is_some_and(|reason| *reason == json!(""))
            {
                self = self.complain("reason", "say why");
            }
            return Err(Failure::Invalid(self.complaints));
        }
        serde_path_to_error::deserialize(Value::Object(self.body)).map_err(|error| {
            let path = error.path().to_string();
            Failure::invalid(path, error.into_inner().to_string())
        })
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Body {
        percent: Option<f64>,
        until: chrono::DateTime<chrono::Utc>,
        sample: Option<u8>,
        reason: String,
    }

    fn read(form: &str) -> Result<Body, Failure> {
        let fields = Fields::read(form.as_bytes());
        Said::of(&fields)
            .number("percent")
            .moment("until")
            .whole("sample")
            .text("reason")
            .read()
    }

    fn complaints(form: &str) -> Vec<String> {
        match read(form).unwrap_err() {
            Failure::Invalid(errors) => errors.into_iter().map(|error| error.field).collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn fields_become_what_the_api_reads() {
        let until = "2026-12-01T08:00:00Z".parse().unwrap();
        for written in [
            "2026-12-01T08:00",
            "2026-12-01 08:00:00",
            "2026-12-01T08:00:00Z",
        ] {
            let body = read(&format!("percent=12.5+%25&until={written}&reason=x")).unwrap();
            assert_eq!(body.percent, Some(12.5));
            assert_eq!((body.until, body.sample), (until, None));
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_by_field() {
        assert_eq!(
            complaints("percent=ten&until=soon"),
            ["percent", "until", "reason"]
        );
        assert_eq!(
            complaints("until=2026-12-01T08:00&sample=300&reason=x"),
            ["sample"]
        );
        assert_eq!(
            complaints("percent=inf&until=2026-12-01T08:00&reason=x"),
            ["percent"]
        );
    }

    #[test]
    fn steps_are_read_line_by_line() {
        let fields = Fields::read(b"steps=10%25:24h%0A%0A%20100%20%25%207d");
        let said = Said::of(&fields).steps("steps");
        let wanted =
            json!([{ "percent": 10.0, "hold": "24h" }, { "percent": 100.0, "hold": "7d" }]);
        assert_eq!(said.body["steps"], wanted);
        let wrong = Fields::read(b"steps=10");
        assert!(Said::of(&wrong).steps("steps").read::<Value>().is_err());
    }
}
