use super::*;

fn read(text: &str, allowed: &[&str]) -> Result<Target, String> {
    let allowed = allowed.iter().map(|net| net.parse().unwrap()).collect();
    Target::read(text, &Rules::allowing(allowed))
}

#[test]
fn what_can_only_be_wrong_is_refused_at_once() {
    for text in [
        "",
        "example.com/hook",
        "/hook",
        "//example.com/hook",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "http://example.com/hook",
        "https://",
        "https:///hook",
        "https://ann:secret@example.com/",
        "https://ann@example.com/",
        "https://example.com@127.0.0.1/",
        "https://example.com/#part",
        "https://example.com/a b",
        "https://exämple.com/",
        "https://example.com:0/",
        "https://example.com:/",
        "https://example.com:99999/",
        "https://example.com:99999/hook",
        "https://example.com:65536",
        "https://example.com:+443/",
        "https://8.8.8.8:99999/hook",
        "https://[2606:4700:4700::1111]:99999/hook",
        "https://127.0.0.1/",
        "https://127.0.0.1:8443/hook",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fd00::1]:8443/",
        "https://0.0.0.0/",
        // Loopback, as resolvers read numbers.
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://%31%32%37.0.0.1/",
        "https://.../",
    ] {
        assert!(read(text, &[]).is_err(), "{text}");
    }
    let long = format!("https://example.com/{}", "a".repeat(2_000));
    assert!(read(&long, &[]).is_err());
}

#[test]
fn what_may_be_is_taken_as_it_is() {
    for text in [
        "https://example.com/hook",
        "https://example.com:8443/services/T0/B0?thread=1&x=%20",
        "https://xn--exmple-cua.com",
        "https://8.8.8.8/hook",
        "https://[2606:4700:4700::1111]/hook",
        // Where a name leads is judged when it is used.
        "https://localhost/",
        "https://internal_host/",
    ] {
        assert_eq!(read(text, &[]).unwrap().as_str(), text);
    }
}

#[test]
fn what_is_allowed_may_be_plain() {
    let allowed = ["127.0.0.0/8"];
    assert!(read("http://127.0.0.1:9000/hook", &allowed).is_ok());
    assert!(read("https://127.0.0.1:9000/hook", &allowed).is_ok());
    assert!(read("http://localhost:9000/hook", &allowed).is_ok());
    assert!(read("http://127.1:9000/hook", &allowed).is_err());
    assert!(read("http://10.0.0.1/", &allowed).is_err());
    assert!(read("http://8.8.8.8/", &allowed).is_err());
}

#[test]
fn a_refusal_repeats_nothing() {
    let secret = "https://ann:hunter2@example.com/";
    assert!(!read(secret, &[]).unwrap_err().contains("hunter2"));
    let target = read("https://example.com/T0/secret", &[]).unwrap();
    assert!(!format!("{target:?}").contains("secret"));
}
