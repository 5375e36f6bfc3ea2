//! D06: the image as it runs, and its size.

use serde_json::Value;

use crate::stack::{container, docker};

pub fn d06_it_runs_without_root_shell_or_a_place_to_write() {
    for service in ["mape-k", "charter"] {
        let id = container(service);
        let inspected = docker(&["inspect", &id]).expect("inspected");
        let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
        let (config, host) = (&inspected[0]["Config"], &inspected[0]["HostConfig"]);
        assert_eq!(config["User"], "65532:65532", "{service}");
        assert_eq!(host["ReadonlyRootfs"], true, "{service}");
        assert_eq!(host["CapDrop"], serde_json::json!(["ALL"]), "{service}");
        // Nobody's guess: what process 1 of the container runs as.
        let pid = docker(&["inspect", "-f", "{{.State.Pid}}", &id]).expect("its process");
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()))
            .expect("the engine runs on this machine");
        assert!(status.contains("Uid:\t65532\t65532\t65532\t65532"), "{service}: {status}");
        for shell in ["sh", "/bin/sh", "bash", "busybox"] {
            let said = docker(&["exec", &id, shell, "-c", "true"]).expect_err("there is no shell");
            assert!(said.contains("not found") || said.contains("no such file"), "{shell}: {said}");
        }
        docker(&["exec", &id, "mape-k", "--version"]).expect("the binary by its name");
    }
    let id = container("mape-k");
    let image = docker(&["inspect", "-f", "{{.Image}}", &id]).expect("its image");
    let size = docker(&["image", "inspect", "-f", "{{.Size}}", image.trim()]).expect("its size");
    println!("D06 the image's size: {} bytes, unpacked", size.trim());
}
