//! SSH certificates by which somebody signs in: list, revoke.

use crate::Fail;
use crate::client::Client;
use crate::command::{Certificates, ListCertificates, RevokeCertificate};
use crate::output::{Output, table};
use reqwest::Method;
use sallyport_wire as wire;

/// Where somebody's certificates are: one's own, or another user's.
fn place(user: Option<&str>) -> String {
    user.map_or_else(
        || "/me/certificates".to_owned(),
        |user| format!("/users/{}/certificates", user.replace('/', "%2F")),
    )
}

pub(crate) async fn run(command: Certificates, client: &Client, out: Output) -> Result<(), Fail> {
    match command {
        Certificates::List(ListCertificates { user }) => {
            let found: wire::Items<wire::OwnCertificate> = client.get(&place(user.as_deref()), &[]).await?;
            out.show(&found, |found| {
                let row = |one: &wire::OwnCertificate| {
                    vec![
                        one.serial.clone(),
                        one.fingerprint.clone(),
                        one.made.clone(),
                        one.expires.clone(),
                        one.factors.join(", "),
                        one.from.clone(),
                    ]
                };
                table(
                    &["SERIAL", "KEY", "MADE", "ENDS", "SIGNED IN BY", "FROM"],
                    found.items.iter().map(row).collect(),
                    "No certificate is good: `sallyport login` gets one.",
                )
            })
        }
        Certificates::Revoke(RevokeCertificate { serial, user }) => {
            let path = format!("{}/{serial}", place(user.as_deref()));
            client.send(Method::DELETE, &path, &[], None::<&()>).await?;
            out.show(&serial, |serial| format!("The certificate {serial} signs nobody in any more."))
        }
    }
}
