//! The same on the command line.

use crate::support::Place;

use super::*;

fn joined(place: &Place, remote: &Remote) -> String {
    place.well(&[
        "route",
        "add",
        "gear.Store/Save",
        "--key=save",
        "--operation=write",
        "--owner=gear",
        "--policy=open",
    ]);
    place.well(&["setting", "save", "dev", "ramp", "0", "--reason=x"]);
    place.well(&["promote", "save", "dev", "--reason=x"]);
    place.well(&[
        "mirror",
        "save",
        "dev",
        "--read=0",
        "--write=100",
        "--reason=x",
    ]);
    let key = place.well(&["sdk-key", "create", "--environment=dev", "--name=web"]);
    let key = key.trim().to_owned();
    eventually("the key is known", Wait::from_secs(20), || {
        let body = json!({ "instance": "a", "name": "web-a", "routes": [{ "route": "save" }] });
        let request = remote.request("POST", "/sdk/v1/writers").bearer(&key);
        (request.json(&body).send().status == 200).then_some(())
    });
    key
}

#[test]
fn a_command_waits_for_the_end_of_what_it_announces() {
    let place = Place::serving();
    let remote = Remote::at(&place.address());
    let key = joined(&place, &remote);
    // Nobody lets go: given up, which is not what was asked for.
    let done = place.run(&["setting", "save", "dev", "ramp", "30", "--reason=x"]);
    assert_eq!(done.status, 1, "{} {}", done.out, done.err);
    for said in ["GIVEN UP, nothing has changed", "web-a"] {
        assert!(done.out.contains(said), "{}", done.out);
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            eventually("the hold is published", Wait::from_secs(20), || {
                let told = published(&remote, &key);
                (!told["hold"].is_null()).then_some(())
            });
            lets_go(&remote, &key, "a", 2);
        });
        let done = place.well(&["setting", "save", "dev", "ramp", "30", "--reason=x"]);
        assert!(
            done.contains("ramp 30 %") && done.contains("waited"),
            "{done}"
        );
    });
    let listed = place.well(&["writers", "list", "save", "dev"]);
    assert!(
        listed.contains("web-a") && listed.contains("known"),
        "{listed}"
    );
    // Not before it has been silent for a while.
    let gone = ["writers", "gone", "save", "dev", "a", "--reason=ended"];
    let refused = place.run(&gone);
    assert!(refused.err.contains("it is not gone"), "{}", refused.err);
    let gone = eventually("it has vanished", Wait::from_secs(60), || {
        let done = place.run(&gone);
        (done.status == 0).then_some(done.out)
    });
    assert!(gone.contains("do not wait"), "{gone}");
    let listed = place.well(&["writers", "list", "save", "dev"]);
    assert!(listed.contains("gone, says"), "{listed}");
    let done = place.well(&["setting", "save", "dev", "ramp", "40", "--reason=x"]);
    assert!(done.contains("ramp 40 %"), "{done}");
}
