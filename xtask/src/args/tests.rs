use super::*;

fn parsed(line: &str) -> Result<Command> {
    parse(lexopt::Parser::from_args(line.split(' ').filter(|word| !word.is_empty())))
}

#[test]
fn every_command_knows_its_help() {
    for command in ["setup", "build", "dev", "test", "bench", "faults", "doctor"] {
        for flag in ["--help", "-h"] {
            let Command::Help(text) = parsed(&format!("{command} {flag}")).unwrap() else {
                panic!("{command} {flag} does not help");
            };
            assert!(text.starts_with(&format!("cargo xtask {command}")), "{command}: {text}");
        }
        let Command::Help(all) = parsed("").unwrap() else { panic!("no help") };
        assert!(all.contains(command), "{command} is not listed");
    }
}

#[test]
fn dev_takes_its_options_in_any_order() {
    let parsed =
        parsed("dev --json --say hi --port=8080 --say again --state here --docker").unwrap();
    assert_eq!(
        parsed,
        Command::Dev(DevOptions {
            port: Some(8080),
            state: Some("here".into()),
            say: vec!["hi".into(), "again".into()],
            json: true,
            docker: true,
        })
    );
}

#[test]
fn test_takes_one_filter() {
    let expected = TestOptions { fast: true, filter: Some("inbox".into()) };
    assert_eq!(parsed("test inbox --fast").unwrap(), Command::Test(expected));
    assert!(parsed("test a b").is_err());
}

#[test]
fn faults_passes_everything_on() {
    let Command::Faults(rest) = parsed("faults --seed 7").unwrap() else { panic!("not faults") };
    assert_eq!(rest, ["--seed", "7"]);
}

#[test]
fn bench_passes_everything_on() {
    let Command::Bench(rest) = parsed("bench --json --runs 3").unwrap() else {
        panic!("not bench")
    };
    assert_eq!(rest, ["--json", "--runs", "3"]);
}

#[test]
fn nonsense_is_refused_and_points_at_the_help() {
    for line in
        ["deply", "--wat", "setup now", "build --all", "dev hello", "dev --port 99999", "dev --say"]
    {
        let error = format!("{:#}", parsed(line).unwrap_err());
        assert!(error.contains("--help") || error.contains("help"), "{line}: {error}");
    }
    assert!(parse(lexopt::Parser::from_args(["dev", "--say", " "])).is_err());
}
