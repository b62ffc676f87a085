//! What an answer of Prometheus says: one finite number of now, or why it does not.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;

use crate::domain::policy::Sampled;
use crate::domain::text::misleads;

/// A number that is older, by the time it was evaluated at, is not of now.
const OLDEST: Duration = Duration::from_secs(60);
/// So much of an error is told, in characters.
const MOST_TOLD: usize = 200;

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    data: Option<Data>,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "snake_case")]
enum Data {
    Scalar(Sample),
    Vector(Vec<Series>),
    Matrix(serde::de::IgnoredAny),
    String(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    value: Option<Sample>,
}

/// When it was evaluated, in seconds since 1970, and the number as text.
#[derive(Deserialize)]
struct Sample(f64, String);

/// Reads an answer with this status that has just arrived.
pub(super) fn read(status: u16, body: &[u8], now: SystemTime) -> Sampled {
    judge(status, body, now).map_or_else(Sampled::Nothing, Sampled::Number)
}

fn judge(status: u16, body: &[u8], now: SystemTime) -> Result<f64, String> {
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    if status != 200 {
        let error = answer.and_then(|answer| answer.error).unwrap_or_default();
        let hint = match status {
            300..=399 => "it sends elsewhere; name that address with --prometheus-url".to_owned(),
            401 | 403 => "it wants another token: --prometheus-token-file".to_owned(),
            404 => "there is no Prometheus at that address".to_owned(),
            _ => legible(&error),
        };
        return Err(format!("Prometheus answered {status}: {hint}"));
    }
    let Some(answer) = answer else {
        return Err("what answered is no Prometheus: see --prometheus-url".to_owned());
    };
    if answer.status != "success" {
        let error = legible(&answer.error.unwrap_or_default());
        return Err(format!("Prometheus refused the query: {error}"));
    }
    if let Some(warning) = answer.warnings.first() {
        // Such as that only a part of the stores was asked: too little would be counted.
        return Err(format!(
            "Prometheus doubts its answer: {}",
            legible(warning)
        ));
    }
    let sample = match answer.data {
        Some(Data::Scalar(sample)) => sample,
        Some(Data::Vector(series)) => only(series)?,
        Some(Data::Matrix(_)) => {
            return Err(
                "the result is a range of samples: take its rate, or its last one".to_owned(),
            );
        }
        Some(Data::String(_)) | None => return Err("the result is no number".to_owned()),
    };
    fresh(sample.0, now)?;
    let number: f64 = sample.1.parse().unwrap_or(f64::NAN);
    if number.is_nan() {
        return Err(
            "the result is not a number (NaN), as a share of nothing is: see that there is something \
             to count"
                .to_owned(),
        );
    }
    if number.is_infinite() {
        return Err("the result is infinite, as a share of nothing is".to_owned());
    }
    Ok(number)
}

fn only(series: Vec<Series>) -> Result<Sample, String> {
    let count = series.len();
    let mut series = series.into_iter();
    match (series.next(), count) {
        (None, _) => Err(
            "the query has no result: see that its labels are right, and that what it asks for is \
             scraped"
                .to_owned(),
        ),
        (Some(one), 1) => one
            .value
            .ok_or_else(|| "the result is a histogram, and no number".to_owned()),
        _ => Err(format!(
            "the query has {count} results: make one of them, such as with max(…) or sum(…)"
        )),
    }
}

/// What was evaluated at another time than now says nothing of now: a cache between here and there, or
/// clocks that differ.
fn fresh(at: f64, now: SystemTime) -> Result<(), String> {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let away = (now.as_secs_f64() - at).abs();
    if away <= OLDEST.as_secs_f64() {
        return Ok(());
    }
    Err(format!(
        "the result was evaluated {away:.0} s from now: see the clocks of both, and what may cache \
         answers between them"
    ))
}

/// What Prometheus says is text of others.
fn legible(text: &str) -> String {
    let text = text.chars().map(|c| if misleads(c) { ' ' } else { c });
    let text: String = text.take(MOST_TOLD).collect();
    if text.trim().is_empty() {
        return "it does not say why".to_owned();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_790_000_000;

    fn told(status: u16, body: &str) -> Sampled {
        read(
            status,
            body.as_bytes(),
            UNIX_EPOCH + Duration::from_secs(NOW),
        )
    }

    fn success(data: &str) -> String {
        format!(r#"{{"status":"success","data":{data}}}"#)
    }

    fn vector(samples: &[(u64, &str)]) -> String {
        let samples: Vec<String> = samples
            .iter()
            .map(|(at, number)| {
                format!(r#"{{"metric":{{"a":"b"}},"value":[{at}.781,"{number}"]}}"#)
            })
            .collect();
        let samples = samples.join(",");
        success(&format!(
            r#"{{"resultType":"vector","result":[{samples}]}}"#
        ))
    }

    #[test]
    fn one_number_of_now_is_an_answer() {
        for (body, number) in [
            (vector(&[(NOW, "0.25")]), 0.25),
            (vector(&[(NOW - 59, "1e3")]), 1_000.0),
            (vector(&[(NOW, "-0")]), 0.0),
            (
                success(&format!(
                    r#"{{"resultType":"scalar","result":[{NOW},"7"]}}"#
                )),
                7.0,
            ),
        ] {
            assert_eq!(told(200, &body), Sampled::Number(number), "{body}");
        }
    }

    #[test]
    fn whatever_else_it_says_is_none() {
        for (status, body, says) in [
            (200, vector(&[]), "no result"),
            (200, vector(&[(NOW, "1"), (NOW, "1")]), "2 results"),
            (200, vector(&[(NOW, "NaN")]), "not a number"),
            (200, vector(&[(NOW, "many")]), "not a number"),
            (200, vector(&[(NOW, "+Inf")]), "infinite"),
            (200, vector(&[(NOW, "-Inf")]), "infinite"),
            (200, vector(&[(NOW - 120, "1")]), "119 s from now"),
            (200, vector(&[(NOW + 120, "1")]), "121 s from now"),
            (
                200,
                success(r#"{"resultType":"matrix","result":[]}"#),
                "a range",
            ),
            (
                200,
                success(r#"{"resultType":"string","result":[1,"x"]}"#),
                "no number",
            ),
            (
                200,
                success(r#"{"resultType":"vector","result":[{"metric":{},"histogram":[1,{}]}]}"#),
                "histogram",
            ),
            (200, r#"{"status":"success"}"#.to_owned(), "no number"),
            (
                200,
                r#"{"status":"error","error":"no\u202esuch"}"#.to_owned(),
                "no such",
            ),
            (
                200,
                vector(&[(NOW, "1")])
                    .replace("}]}}", r#"}]},"warnings":["some stores are away"]}"#),
                "some stores are away",
            ),
            (200, "<html>".to_owned(), "no Prometheus"),
            (200, String::new(), "no Prometheus"),
            (
                400,
                r#"{"status":"error","error":"parse error"}"#.to_owned(),
                "400: parse error",
            ),
            (422, "{}".to_owned(), "422: it does not say why"),
            (500, "oops".to_owned(), "500: it does not say why"),
            (302, vector(&[(NOW, "1")]), "sends elsewhere"),
            (401, String::new(), "another token"),
            (404, String::new(), "no Prometheus at"),
        ] {
            let Sampled::Nothing(why) = told(status, &body) else {
                panic!("{body} is no answer");
            };
            assert!(why.contains(says), "{body}: {why}");
        }
    }

    #[test]
    fn what_others_say_is_cut() {
        let body = format!(r#"{{"status":"error","error":"{}"}}"#, "x".repeat(10_000));
        let Sampled::Nothing(why) = told(400, &body) else {
            panic!("no answer");
        };
        assert!(why.len() < 300);
    }
}
