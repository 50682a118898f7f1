//! Trusting a server that has a certificate authority of its own, once somebody has compared its fingerprint.

use crate::client::Client;
use crate::command::Trust;
use crate::output::Output;
use crate::{Fail, Surroundings};
use aws_lc_rs::digest::{SHA256, digest};
use sallyport_wire as wire;
use std::fmt::Write as _;

/// The bytes of a certificate in PEM, in base64.
fn body(pem: &str) -> Option<String> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    Some(body.split_whitespace().collect())
}

/// The fingerprint by one's own reckoning: what the server says of itself is not looked at.
fn fingerprint(pem: &str) -> Option<String> {
    let bytes = data_encoding::BASE64.decode(body(pem)?.as_bytes()).ok()?;
    let mut text = String::from("SHA256");
    for byte in digest(&SHA256, &bytes).as_ref() {
        write!(text, ":{byte:02X}").ok()?;
    }
    Some(text)
}

pub(crate) async fn trust(args: Trust, client: Client, surroundings: &Surroundings, out: Output) -> Result<(), Fail> {
    let said = client.said_trust().await?;
    let found = fingerprint(&said.certificate).ok_or_else(|| Fail::failed("the server showed no certificate"))?;
    let Some(expected) = args.fingerprint else {
        return Err(Fail::usage(format!(
            "the authority of {} has the fingerprint\n\n    {found}\n\ncompare it with the one that the server logs at its start \
             (`fingerprint=`), and say it: `sallyport trust --fingerprint {found}`",
            client.url()
        )));
    };
    if !expected.eq_ignore_ascii_case(&found) {
        return Err(Fail::new(
            sallyport_model::Kind::Denied,
            format!("the authority has another fingerprint, {found}: somebody may stand between you and the server"),
        ));
    }
    let client = client.with_authority(said.certificate.clone())?;
    // What is remembered has been tried: the certificate that is shown does come from this authority.
    client.get::<wire::Status>("/status", &[]).await?;
    client.remember(surroundings)?;
    out.show(&said, |said| {
        if args.print {
            said.certificate.trim_end().to_owned()
        } else {
            format!("Commands on this machine trust {} from here on, and no other authority for it.", client.url())
        }
    })
}

#[cfg(test)]
mod tests;
