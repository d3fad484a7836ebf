//! Addresses as people write them: which URLs can be asked, and what HOST:PORT is.

use anyhow::{Result, anyhow, ensure};
use std::fmt;

/// `http://HOST[:PORT][/PATH][?QUERY]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    /// What the server is told that it was called.
    pub(crate) host: String,
    /// HOST:PORT, to connect to.
    pub address: String,
    /// The path and the query.
    pub target: String,
}

impl Url {
    /// Understands a URL.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Url> {
        refuse_https(text)?;
        let rest =
            text.strip_prefix("http://").ok_or_else(|| anyhow!("\"{text}\" is no URL; write http://HOST:PORT/PATH"))?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        // The colons of a bracketed IPv6 address are not those of a port.
        let has_port = host.rsplit(']').next().is_some_and(|after| after.contains(':'));
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        ensure!(
            is_address(&address) && text.bytes().all(|byte| byte.is_ascii_graphic()),
            "\"{text}\" is no URL that can be asked; write http://HOST:PORT/PATH"
        );
        // What stands behind a # is for the client alone.
        let path = path.split('#').next().unwrap_or_default();
        let target = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { text: text.to_owned(), address, host: host.to_owned(), target })
    }

    /// Whether the port is written in it.
    pub fn names_its_port(&self) -> bool {
        self.address == self.host
    }
}

impl fmt::Display for Url {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The one sentence about what is not spoken here.
///
/// # Errors
/// If the text is an address of that kind.
pub fn refuse_https(text: &str) -> Result<()> {
    let https = text.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"));
    ensure!(
        !https,
        "\"{text}\": https is not spoken here; a proxy's own address in its Pod is http: write http://HOST:PORT/PATH"
    );
    Ok(())
}

/// Whether a text is HOST:PORT, with a bracketed IPv6 address if it is one.
pub fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host_is_fine = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)),
    };
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    host_is_fine && digits && port.parse::<u16>().is_ok_and(|port| port > 0)
}
