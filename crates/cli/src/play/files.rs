//! Files whose content a recording keeps: listed, and taken out one by one.

use super::{save, session_id};
use crate::Fail;
use crate::client::Client;
use crate::command::KeptFiles;
use crate::output::{Output, harmless, table};
use reqwest::Method;
use sallyport_wire as wire;

/// Lists them, or saves one. To take one out is ledgered, so the place is looked at first.
pub(crate) async fn files(args: KeptFiles, client: &Client, out: Output) -> Result<(), Fail> {
    let session = session_id(&args.session)?;
    let route = format!("/recordings/{session}/files");
    let Some((id, path)) = args.take.zip(args.to) else {
        let files: Vec<wire::KeptFile> = client.get(&route, &[]).await?;
        return out.show(&files, |files| {
            let empty = "This recording keeps no content of files; policy decides it, with @recording(\"enhanced\").";
            table(&["ID", "WAY", "BYTES", "KEPT", "SHA-256", "PATH"], files.iter().map(row).collect(), empty)
        });
    };
    if id.contains('/') {
        return Err(Fail::usage("name a file by its id in the list, such as 1.2"));
    }
    if path.symlink_metadata().is_ok() {
        return Err(Fail::usage(format!("`{}` is there already: name another file", path.display())));
    }
    let response = client.send(Method::GET, &format!("{route}/{id}"), &[], None::<&()>).await?;
    save(&path, &response.bytes().await.map_err(Fail::failed)?)?;
    out.show(&path.display().to_string(), |path| format!("Saved {path}. That it was taken out is in the ledger."))
}

fn row(file: &wire::KeptFile) -> Vec<String> {
    let sum = file.sha256.clone().unwrap_or_else(|| "-".into());
    vec![file.id.clone(), file.way.clone(), file.size.to_string(), file.kept.to_string(), sum, harmless(&file.path)]
}
