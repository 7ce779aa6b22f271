//! What may leave the container, and which secrets the edge adds for other services.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::{Problem, ProblemCode};
use serde_json::Value;

use super::providers::is_providers_key;
use super::{Secret, base_url_checked, wrong};
use crate::egress::headers::may_hold_a_secret;
use crate::egress::pattern::HostPattern;
use crate::limits::{EGRESS_HOSTS_MAX, EGRESS_SECRET_CHARS_MIN, EGRESS_SECRETS_MAX};

/// Who resolves names for the edge's guard.
const RESOLVER_DEFAULT: &str = "https://cloudflare-dns.com/dns-query";

/// What stands for the secret in a header's format.
const PLACE: &str = "{}";

/// Secrets that the product itself lives by, beside the providers' keys. They are not lent to other
/// hosts, whatever the owner writes: a slip in a list must not send one elsewhere.
const OWN: &[&str] = &[
    "AI_GATEWAY_API_KEY",
    "API_TOKEN",
    "CF_AI_GATEWAY_TOKEN",
    "CLOUDFLARE_API_KEY",
    "GOOGLE_API_KEY",
    "WEBHOOK_SECRET",
];

/// Whether the agent's own commands reach the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Internet {
    /// They reach all of it.
    Open,
    /// They reach the hosts that the owner listed, by way of the edge.
    Allowlist,
    /// They reach nothing but the edge.
    Closed,
}

impl Internet {
    /// The word for it in the settings, and what the runtime is told.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allowlist => "allowlist",
            Self::Closed => "closed",
        }
    }
}

/// Everything about what leaves.
#[derive(Debug)]
pub(crate) struct Egress {
    /// How far the agent's own commands reach.
    pub(crate) internet: Internet,
    /// The hosts of the allowlist.
    pub(crate) allowed: Vec<HostPattern>,
    /// What the edge adds, and where.
    pub(crate) secrets: Vec<HostSecret>,
    /// Who resolves names.
    pub(crate) resolver: String,
    /// Hosts that stand for servers of this machine; only with `dev_mode`.
    pub(crate) dev_hosts: Vec<(String, String)>,
}

/// A secret, where it goes and how it is worn.
#[derive(Debug)]
pub(crate) struct HostSecret {
    /// The secret's name.
    pub(crate) name: String,
    /// The hosts that it goes to.
    pub(crate) hosts: Vec<HostPattern>,
    /// The header that carries it, in lower case.
    pub(crate) header: String,
    /// That header's value.
    pub(crate) value: Secret,
    /// What must not come back: the secret, and its user with it where there is one.
    pub(crate) hidden: Vec<Secret>,
}

impl Egress {
    /// The secrets that go to a host.
    pub(crate) fn secrets_for<'a>(&'a self, host: &'a str) -> impl Iterator<Item = &'a HostSecret> {
        self.secrets.iter().filter(|secret| secret.hosts.iter().any(|p| p.matches(host)))
    }

    /// Whether the edge may call a host for the agent.
    pub(crate) fn may_reach(&self, host: &str) -> bool {
        self.internet == Internet::Open
            || self.allowed.iter().any(|pattern| pattern.matches(host))
            || self.secrets_for(host).next().is_some()
    }

    /// The hosts for which there are secrets, each with the secrets' names, as the runtime is told:
    /// `api.github.com=GITHUB_TOKEN,*.example.com=OTHER`. Names only, in the owner's order.
    pub(crate) fn told(&self) -> String {
        let pairs = self.secrets.iter().flat_map(|secret| {
            secret.hosts.iter().map(move |host| format!("{host}={}", secret.name))
        });
        pairs.collect::<Vec<_>>().join(",")
    }
}

/// Reads the settings about what leaves.
pub(super) fn parse(
    get: &dyn Fn(&str) -> Option<String>,
    dev_mode: bool,
    problems: &mut Vec<Problem>,
) -> Egress {
    let internet = internet(get, problems);
    let allowed = allowed(get, internet, problems);
    let secrets = secrets(get, problems);
    let resolver = resolver(get, dev_mode, problems);
    let dev_hosts = dev_hosts(get, dev_mode, problems);
    Egress { internet, allowed, secrets, resolver, dev_hosts }
}

/// What cannot be read closes the door: open is only what the owner left open.
fn internet(get: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Internet {
    let name = "SANDBOX_INTERNET";
    let all = [Internet::Open, Internet::Allowlist, Internet::Closed];
    let Some(text) = get(name) else { return Internet::Open };
    all.into_iter().find(|known| known.as_str() == text).unwrap_or_else(|| {
        let why = format!("{text:?} is none of open, allowlist and closed");
        problems.push(wrong(name, &why));
        Internet::Closed
    })
}

fn allowed(
    get: &dyn Fn(&str) -> Option<String>,
    internet: Internet,
    problems: &mut Vec<Problem>,
) -> Vec<HostPattern> {
    let name = "SANDBOX_ALLOWED_HOSTS";
    let Some(text) = get(name) else {
        if internet == Internet::Allowlist {
            problems.push(wrong(name, "SANDBOX_INTERNET=allowlist needs a list of hosts"));
        }
        return Vec::new();
    };
    if internet != Internet::Allowlist {
        problems.push(wrong(name, "it is for SANDBOX_INTERNET=allowlist only"));
        return Vec::new();
    }
    let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
    if texts.len() > EGRESS_HOSTS_MAX {
        problems.push(wrong(name, format!("it has more than {EGRESS_HOSTS_MAX} hosts")));
        return Vec::new();
    }
    let mut hosts = Vec::new();
    for text in texts {
        match HostPattern::parse(text) {
            Ok(host) => hosts.push(host),
            Err(why) => problems.push(wrong(name, &why)),
        }
    }
    hosts
}

/// One entry of `EGRESS_SECRETS`.
struct Entry {
    secret: String,
    hosts: Vec<String>,
    header: Option<String>,
    format: Option<String>,
    basic_user: Option<String>,
}

impl Entry {
    /// Reads an entry; `None` when it is of another shape. By hand, since a derived reader would be
    /// larger than all the rest of these settings.
    fn read(value: Value) -> Option<Self> {
        let Value::Object(mut fields) = value else { return None };
        let mut text = |name: &str| match fields.remove(name) {
            None => Some(None),
            Some(Value::String(text)) => Some(Some(text)),
            Some(_) => None,
        };
        let (secret, header) = (text("secret")??, text("header")?);
        let (format, basic_user) = (text("format")?, text("basic_user")?);
        let Some(Value::Array(hosts)) = fields.remove("hosts") else { return None };
        let hosts = hosts.iter().map(|host| host.as_str().map(str::to_owned));
        let hosts = hosts.collect::<Option<_>>()?;
        fields.is_empty().then_some(Self { secret, hosts, header, format, basic_user })
    }
}

fn secrets(get: &dyn Fn(&str) -> Option<String>, problems: &mut Vec<Problem>) -> Vec<HostSecret> {
    let name = "EGRESS_SECRETS";
    let Some(text) = get(name) else { return Vec::new() };
    let entries = match serde_json::from_slice(text.as_bytes()) {
        Ok(Value::Array(entries)) => entries.into_iter().map(Entry::read).collect(),
        Ok(_) | Err(_) => None,
    };
    // The text is not told: somebody may have put the secret itself there.
    let Some(entries): Option<Vec<Entry>> = entries else {
        let why = "it is no JSON list of {\"secret\", \"hosts\", \"header\", \"format\"} or \
                   {\"secret\", \"hosts\", \"basic_user\"}";
        problems.push(wrong(name, why));
        return Vec::new();
    };
    if entries.len() > EGRESS_SECRETS_MAX {
        problems.push(wrong(name, format!("it has more than {EGRESS_SECRETS_MAX} entries")));
        return Vec::new();
    }
    let mut secrets: Vec<HostSecret> = Vec::new();
    for entry in entries {
        match secret(get, entry) {
            Ok(secret) => secrets.push(secret),
            Err(problem) => problems.push(problem),
        }
    }
    secrets
}

fn secret(get: &dyn Fn(&str) -> Option<String>, entry: Entry) -> Result<HostSecret, Problem> {
    let setting = "EGRESS_SECRETS";
    let wrong = |why: &str| wrong(setting, why);
    let name = entry.secret;
    if !is_secret_name(&name) {
        return Err(wrong("a secret's name is not like GITHUB_TOKEN"));
    }
    if OWN.contains(&name.as_str()) || is_providers_key(&name) {
        return Err(wrong(&format!("{name} is the agent's own and goes to no other host")));
    }
    let hosts: Result<Vec<HostPattern>, String> =
        entry.hosts.iter().map(|text| HostPattern::parse(text)).collect();
    let hosts = hosts.map_err(|why| wrong(&format!("of {name}: {why}")))?;
    if hosts.is_empty() || hosts.len() > EGRESS_HOSTS_MAX {
        return Err(wrong(&format!("{name} needs 1 to {EGRESS_HOSTS_MAX} hosts")));
    }
    let Some(value) = get(&name) else {
        let message = format!("EGRESS_SECRETS names the secret {name}, which is not set.");
        return Err(Problem::new(ProblemCode::Misconfigured, message)
            .remedy(format!("Set it: npx wrangler secret put {name}")));
    };
    if value.chars().count() < EGRESS_SECRET_CHARS_MIN {
        let why = format!(
            "{name} has less than {EGRESS_SECRET_CHARS_MIN} characters and could not be told from \
             other text"
        );
        return Err(wrong(&why));
    }
    let (header, worn, hidden) = match (entry.basic_user, entry.header, entry.format) {
        (Some(user), None, None) => basic(&user, value),
        (None, Some(header), format) => {
            let format = format.unwrap_or_else(|| PLACE.to_owned());
            if format.matches(PLACE).count() != 1 {
                return Err(wrong(&format!("the format of {name} has not {PLACE} once")));
            }
            (header.to_ascii_lowercase(), format.replace(PLACE, &value), vec![Secret::new(value)])
        }
        _ => {
            let why = format!("{name} needs either header (and format) or basic_user");
            return Err(wrong(&why));
        }
    };
    if !may_hold_a_secret(&header) {
        return Err(wrong(&format!("of {name}: the header {header:?} cannot carry a secret")));
    }
    if !worn.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Err(wrong(&format!("{name} has a character that a header cannot carry")));
    }
    Ok(HostSecret { name, hosts, header, value: Secret::new(worn), hidden })
}

/// RFC 7617.
fn basic(user: &str, password: String) -> (String, String, Vec<Secret>) {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    let worn = format!("Basic {pair}");
    ("authorization".to_owned(), worn, vec![Secret::new(pair), Secret::new(password)])
}

fn is_secret_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

fn resolver(
    get: &dyn Fn(&str) -> Option<String>,
    dev_mode: bool,
    problems: &mut Vec<Problem>,
) -> String {
    let name = "DNS_OVER_HTTPS_URL";
    let Some(text) = get(name) else { return RESOLVER_DEFAULT.to_owned() };
    match base_url_checked(&text) {
        Ok(url) if url.starts_with("https://") || dev_mode => return url,
        Ok(_) => problems.push(wrong(name, "it does not begin with https://")),
        Err(why) => problems.push(wrong(name, &why)),
    }
    RESOLVER_DEFAULT.to_owned()
}

/// `host=http://127.0.0.1:port,…`: for tests, in place of DNS and TLS.
fn dev_hosts(
    get: &dyn Fn(&str) -> Option<String>,
    dev_mode: bool,
    problems: &mut Vec<Problem>,
) -> Vec<(String, String)> {
    let name = "DEV_HOSTS";
    let Some(text) = get(name) else { return Vec::new() };
    if !dev_mode {
        problems.push(wrong(name, "it is for DEV_MODE=true only"));
        return Vec::new();
    }
    let pair = |text: &str| {
        let (host, url) = text.trim().split_once('=')?;
        let on_loopback = url.starts_with("http://127.0.0.1:");
        let host = crate::egress::guard::name_checked(host).ok()?;
        on_loopback.then(|| (host, url.trim_end_matches('/').to_owned()))
    };
    let pairs: Option<Vec<_>> = text.split(',').map(pair).collect();
    pairs.unwrap_or_else(|| {
        problems.push(wrong(name, "it is not like api.example.test=http://127.0.0.1:1234"));
        Vec::new()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> (Egress, String) {
        let get = |name: &str| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        let mut problems = Vec::new();
        let egress = parse(&get, get("DEV_MODE").is_some(), &mut problems);
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        (egress, told.join("\n"))
    }

    const GITHUB: &str = r#"[{"secret":"GITHUB_TOKEN","hosts":["api.github.com"],
        "header":"Authorization","format":"Bearer {}"},
        {"secret":"JIRA_PASSWORD","hosts":["*.atlassian.net"],"basic_user":"me@example.com"}]"#;

    #[test]
    fn open_unless_the_owner_says_otherwise() {
        let (egress, told) = read(&[]);
        assert_eq!((egress.internet, told.as_str()), (Internet::Open, ""));
        assert!(egress.may_reach("anything.example"));
        assert_eq!(egress.resolver, RESOLVER_DEFAULT);
        // The words of the former switch are not taken, and what is not understood is closed.
        for former in ["true", "false", "OPEN"] {
            let (egress, told) = read(&[("SANDBOX_INTERNET", former)]);
            assert_eq!(egress.internet, Internet::Closed);
            assert!(told.contains("open, allowlist and closed"), "{told}");
        }
    }

    #[test]
    fn an_allowlist_lets_through_what_is_on_it() {
        let (egress, told) = read(&[
            ("SANDBOX_INTERNET", "allowlist"),
            ("SANDBOX_ALLOWED_HOSTS", "pypi.org, *.pythonhosted.org,"),
        ]);
        assert_eq!(told, "");
        assert!(egress.may_reach("pypi.org") && egress.may_reach("files.pythonhosted.org"));
        assert!(!egress.may_reach("example.com"));
        let (_, told) = read(&[("SANDBOX_INTERNET", "allowlist")]);
        assert!(told.contains("SANDBOX_ALLOWED_HOSTS"), "{told}");
        let (egress, told) =
            read(&[("SANDBOX_INTERNET", "closed"), ("SANDBOX_ALLOWED_HOSTS", "pypi.org")]);
        assert!(told.contains("allowlist only") && !egress.may_reach("pypi.org"), "{told}");
        let (_, told) = read(&[
            ("SANDBOX_INTERNET", "allowlist"),
            ("SANDBOX_ALLOWED_HOSTS", "pypi.org,*.com,edge.internal"),
        ]);
        assert!(told.contains("*.com") && told.contains("edge.internal"), "{told}");
    }

    #[test]
    fn a_secret_goes_where_its_owner_said() {
        let (egress, told) = read(&[
            ("EGRESS_SECRETS", GITHUB),
            ("GITHUB_TOKEN", "ghp_canary_token"),
            ("JIRA_PASSWORD", "canary-password"),
            ("SANDBOX_INTERNET", "closed"),
        ]);
        assert_eq!(told, "");
        let github: Vec<_> = egress.secrets_for("api.github.com").collect();
        assert_eq!(github.len(), 1);
        assert_eq!(github[0].header, "authorization");
        assert_eq!(github[0].value.expose(), "Bearer ghp_canary_token");
        let jira = egress.secrets_for("x.atlassian.net").next().unwrap();
        assert_eq!(jira.value.expose(), "Basic bWVAZXhhbXBsZS5jb206Y2FuYXJ5LXBhc3N3b3Jk");
        assert!(egress.secrets_for("github.com").next().is_none());
        assert!(egress.may_reach("api.github.com") && !egress.may_reach("github.com"));
        assert_eq!(egress.told(), "api.github.com=GITHUB_TOKEN,*.atlassian.net=JIRA_PASSWORD");
        assert!(!format!("{egress:?}").contains("canary"));
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told_without_it() {
        let entry = |rest: &str| format!(r#"[{{"secret":"TOKEN","hosts":["a.example"],{rest}}}]"#);
        for (text, value, word) in [
            (entry(r#""header":"x-key""#), "", "wrangler secret put TOKEN"),
            (entry(r#""header":"x-key""#), "canary", "less than"),
            (entry(r#""header":"host""#), "canary-canary", "cannot carry"),
            (entry(r#""header":"cf-x""#), "canary-canary", "cannot carry"),
            (entry(r#""header":"x-key","format":"k""#), "canary-canary", "{} once"),
            (entry(r#""header":"x-key","basic_user":"u""#), "canary-canary", "either"),
            (entry(r#""format":"{}""#), "canary-canary", "either"),
            (entry(r#""header":"x-key""#), "canary\ncanary", "a header cannot carry"),
            (entry(r#""header":"x-key","value":"canary-canary""#), "canary-canary", "no JSON list"),
            (r#"[{"secret":"TOKEN","hosts":[],"header":"x-key"}]"#.into(), "canary-canary", "1 to"),
            (
                r#"[{"secret":"TOKEN","hosts":["*.com"],"header":"x"}]"#.into(),
                "canary-canary",
                "*.com",
            ),
            (
                r#"[{"secret":"canary token","hosts":["a.b"],"header":"x"}]"#.into(),
                "",
                "GITHUB_TOKEN",
            ),
            (r#"[{"secret":"OPENAI_API_KEY","hosts":["a.b"],"header":"x"}]"#.into(), "", "own"),
            (r#"[{"secret":"API_TOKEN","hosts":["a.b"],"header":"x"}]"#.into(), "", "own"),
            (r#"[{"secret":"GROQ_API_KEY","hosts":["a.b"],"header":"x"}]"#.into(), "", "own"),
            ("canary".into(), "canary-canary", "no JSON list"),
        ] {
            let (egress, told) = read(&[("EGRESS_SECRETS", &text), ("TOKEN", value)]);
            let (_, unset) = read(&[("EGRESS_SECRETS", &text)]);
            let told = if value.is_empty() { unset } else { told };
            assert!(told.contains(word), "{text}: {told}");
            assert!(!told.contains("canary"), "{told}");
            assert!(egress.secrets.is_empty(), "{text}");
        }
    }

    #[test]
    fn servers_of_this_machine_are_for_tests_only() {
        let hosts = ("DEV_HOSTS", "api.example.test=http://127.0.0.1:1234/");
        let (egress, told) = read(&[hosts, ("DEV_MODE", "true")]);
        assert_eq!(told, "");
        assert_eq!(
            egress.dev_hosts,
            [("api.example.test".to_owned(), "http://127.0.0.1:1234".to_owned())]
        );
        let resolver = ("DNS_OVER_HTTPS_URL", "http://127.0.0.1:5/dns");
        let (egress, told) = read(&[hosts, resolver]);
        assert!(egress.dev_hosts.is_empty() && egress.resolver == RESOLVER_DEFAULT);
        assert!(told.contains("DEV_HOSTS") && told.contains("DNS_OVER_HTTPS_URL"), "{told}");
        let (_, told) = read(&[("DEV_HOSTS", "a.test=http://10.0.0.1:1"), ("DEV_MODE", "true")]);
        assert!(told.contains("DEV_HOSTS"), "{told}");
    }
}
