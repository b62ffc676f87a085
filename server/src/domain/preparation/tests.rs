//! The process, step by step and in any order.

use proptest::prelude::*;

use super::*;

fn run(commands: &[Command]) -> (Preparation, Vec<bool>) {
    let route: RouteKey = "find".parse().unwrap();
    let mut now = Preparation::default();
    let mut taken = Vec::new();
    for command in commands {
        let mark = Mark {
            by: "ann".to_owned(),
            at: DateTime::UNIX_EPOCH,
            reason: "test".to_owned(),
        };
        let after = now.after(&route, command, mark);
        taken.push(after.is_ok());
        now = after.unwrap_or(now);
    }
    (now, taken)
}

fn read(words: &str) -> Vec<Command> {
    let command = |word| match word {
        "days" => estimate(None),
        "existing" => estimate(Some(true)),
        "new" => estimate(Some(false)),
        "ahead" => Command::MoveAhead,
        "shelve" => Command::Shelve,
        "up" => Command::TakeUp,
        "analysis" => Command::Complete(Phase::Analysis),
        "rpc" => Command::Complete(Phase::RpcDesign),
        "server" => Command::Complete(Phase::ServerImplementation),
        "client" => Command::Complete(Phase::ClientImplementation),
        other => panic!("{other}"),
    };
    words.split_whitespace().map(command).collect()
}

fn estimate(existing_endpoint: Option<bool>) -> Command {
    Command::Estimate {
        estimate: Some(Estimate::Days(3)),
        priority: None,
        existing_endpoint,
    }
}

/// What was done, whether its last step was taken, and what the route is at then.
#[test]
fn the_process_step_by_step() {
    for (words, taken, at) in [
        ("days", true, "analysis"),
        ("ahead", false, "analysis"),
        ("analysis", false, "analysis"),
        ("rpc", false, "analysis"),
        ("client", false, "analysis"),
        ("up", false, "analysis"),
        ("shelve", true, "shelved"),
        ("days ahead", true, "rpc_design"),
        ("days ahead ahead", false, "rpc_design"),
        ("days ahead analysis", false, "rpc_design"),
        ("days ahead server", false, "rpc_design"),
        ("days ahead client", false, "rpc_design"),
        ("days ahead existing", false, "rpc_design"),
        ("days ahead new", true, "rpc_design"),
        (
            "days ahead rpc",
            true,
            "server_implementation client_implementation",
        ),
        (
            "days ahead rpc rpc",
            false,
            "server_implementation client_implementation",
        ),
        ("days ahead rpc server", true, "client_implementation"),
        (
            "days ahead rpc server server",
            false,
            "client_implementation",
        ),
        ("days ahead rpc client", true, "server_implementation"),
        ("days ahead rpc client server", true, "ready"),
        ("days ahead rpc server client", true, "ready"),
        ("days ahead rpc server client shelve", false, "ready"),
        ("days ahead rpc server client days", false, "ready"),
        ("existing ahead", true, "client_implementation"),
        ("existing ahead rpc", false, "client_implementation"),
        ("existing ahead server", false, "client_implementation"),
        ("existing ahead client", true, "ready"),
        ("existing new ahead", true, "rpc_design"),
        ("days ahead rpc shelve", true, "shelved"),
        ("days ahead rpc shelve shelve", false, "shelved"),
        ("days ahead rpc shelve server", false, "shelved"),
        ("days ahead rpc shelve ahead", false, "shelved"),
        ("days ahead rpc shelve up", true, "analysis"),
        ("days ahead rpc shelve up server", false, "analysis"),
        (
            "days ahead rpc shelve up ahead",
            true,
            "server_implementation client_implementation",
        ),
        (
            "days ahead rpc client shelve up existing ahead",
            true,
            "ready",
        ),
    ] {
        let (now, steps) = run(&read(words));
        assert_eq!(steps.last(), Some(&taken), "{words}");
        assert_eq!(now.at().join(" "), at, "{words}");
        let next = now.next_step(&"find".parse().unwrap());
        assert_eq!(
            next.contains("switchover prepare find "),
            at != "ready",
            "{next}"
        );
    }
}

fn any_command() -> impl Strategy<Value = Command> {
    let words = [
        "days", "existing", "new", "ahead", "shelve", "up", "analysis", "rpc", "server", "client",
    ];
    let priority = Command::Estimate {
        estimate: None,
        priority: Some(1),
        existing_endpoint: None,
    };
    let mut all: Vec<Command> = words.iter().flat_map(|word| read(word)).collect();
    all.push(priority);
    prop::sample::select(all)
}

proptest! {
    /// No order of commands gets there without the phases, and nothing leads out of it.
    #[test]
    fn ready_means_that_every_phase_was_completed(
        commands in prop::collection::vec(any_command(), 0..40)
    ) {
        let (now, taken) = run(&commands);
        let done = |phase| {
            let mut taken = commands.iter().zip(&taken);
            taken.any(|(command, taken)| *taken && *command == Command::Complete(phase))
        };
        let marked = |phase: &Phase| now.completed.contains_key(phase);
        prop_assert!(now.completed.keys().all(|phase| done(*phase)));
        prop_assert!(!marked(&Phase::Analysis));
        let begun = marked(&Phase::ServerImplementation);
        prop_assert!(!begun || marked(&Phase::RpcDesign), "the server before its interface");
        if now.is_ready() {
            prop_assert!(now.estimate.is_some() && marked(&Phase::ClientImplementation));
            let whole = marked(&Phase::RpcDesign) && marked(&Phase::ServerImplementation);
            prop_assert!(now.existing_endpoint || whole);
            let ahead = commands.iter().zip(&taken).filter(|(_, taken)| **taken);
            let mut last = ahead.filter(|(command, _)| {
                matches!(command, Command::MoveAhead | Command::Shelve | Command::TakeUp)
            });
            prop_assert!(matches!(last.next_back(), Some((Command::MoveAhead, _))));
            let (later, steps) = run(&[commands.clone(), read("days shelve up ahead client")].concat());
            prop_assert_eq!(&later, &now);
            prop_assert!(steps.iter().rev().take(5).all(|taken| !taken));
        }
        // It is at something, and from there it is known how to go on.
        prop_assert!(!now.at().is_empty());
        let json = serde_json::to_string(&now).unwrap();
        prop_assert_eq!(serde_json::from_str::<Preparation>(&json).unwrap(), now);
    }
}
