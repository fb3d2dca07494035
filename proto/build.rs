//! Compiles the `.proto` files with protox, so that no system protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 8] = [
    "cutover/v1/migration.proto",
    "cutover/v1/routing.proto",
    "cutover/v1/telemetry.proto",
    "cutover/v1/plan.proto",
    "cutover/v1/admin.proto",
    "cutover/v1/job.proto",
    "cutover/v1/sidecar.proto",
    "cutover/v1/access.proto",
];

/// OpenFeature's flagd providers ask by these.
const FLAGD: [&str; 2] = ["flagd/evaluation/v1/evaluation.proto", "flagd/evaluation/v2/evaluation.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    let flagd = FLAGD.iter().filter(|_| has("FLAGD"));
    let files: Vec<&str> = FILES.iter().chain(flagd).copied().collect();
    for file in FILES.iter().chain(&FLAGD) {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    let grpc = has("GRPC");
    tonic_prost_build::configure().build_client(grpc).build_server(grpc).compile_fds(descriptors)?;
    Ok(())
}
