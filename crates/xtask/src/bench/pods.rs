//! Synthetic pods as clusters have them: about 8 kB of JSON with managedFields, three to a
//! workload, spread over namespaces and nodes.

use std::fmt::Write as _;

/// Pods of one workload.
pub const PER_WORKLOAD: usize = 3;

/// Name of the workload of pod `i`.
pub fn workload(i: usize) -> usize {
    i / PER_WORKLOAD
}

/// Namespace of workload `w`.
pub fn namespace(w: usize) -> String {
    format!("team-{:03}", w % 200)
}

/// A ReplicaSet's name.
pub fn replica_set(w: usize) -> String {
    format!(
        "web-{w:05}-{:x}",
        0x6c5d_4b3a_u64 ^ (w as u64).wrapping_mul(0x9e37)
    )
}

/// Writes pod `i` into `out`.
pub fn write(out: &mut String, i: usize) {
    out.clear();
    let w = workload(i);
    let (ns, rs) = (namespace(w), replica_set(w));
    let node = format!("node-{:04}", i.wrapping_mul(7919) % 3000);
    let uid = |seed: u64| {
        let a = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let b = (seed ^ 0x5555).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
        format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xffff,
            a & 0xfff,
            (b >> 48) & 0xfff,
            b & 0xffff_ffff_ffff
        )
    };
    let hash = &rs[rs.len() - 8..];
    let sidecar = !w.is_multiple_of(5);
    let second = i % 60;
    let _ = write!(
        out,
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{rs}-{i:05x}","generateName":"{rs}-","namespace":"{ns}","uid":"{}","resourceVersion":"{}","creationTimestamp":"2026-11-20T10:{:02}:{second:02}Z","labels":{{"app":"web-{w:05}","app.kubernetes.io/name":"web","app.kubernetes.io/part-of":"shop","pod-template-hash":"{hash}","team":"{ns}","version":"v{}"}},"annotations":{{"prometheus.io/scrape":"true","prometheus.io/port":"8080","kubectl.kubernetes.io/restartedAt":"2026-11-20T09:00:00Z","checksum/config":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{rs}","uid":"{}","controller":true,"blockOwnerDeletion":true}}],"managedFields":["#,
        uid(i as u64),
        1_000_000 + i,
        i / 60 % 60,
        w % 7,
        uid(1_000_000 + w as u64),
    );
    for (n, manager) in ["kube-controller-manager", "kube-scheduler", "kubelet"]
        .into_iter()
        .enumerate()
    {
        if n > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            r#"{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-11-20T10:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:prometheus.io/scrape":{{}},"f:prometheus.io/port":{{}},"f:checksum/config":{{}}}},"f:labels":{{".":{{}},"f:app":{{}},"f:app.kubernetes.io/name":{{}},"f:app.kubernetes.io/part-of":{{}},"f:pod-template-hash":{{}},"f:team":{{}}}},"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"x\"}}":{{}}}}}},"f:spec":{{"f:containers":{{"k:{{\"name\":\"app\"}}":{{".":{{}},"f:env":{{".":{{}},"k:{{\"name\":\"LOG_LEVEL\"}}":{{".":{{}},"f:name":{{}},"f:value":{{}}}}}},"f:image":{{}},"f:imagePullPolicy":{{}},"f:livenessProbe":{{".":{{}},"f:httpGet":{{".":{{}},"f:path":{{}},"f:port":{{}}}}}},"f:name":{{}},"f:ports":{{}},"f:resources":{{".":{{}},"f:limits":{{".":{{}},"f:cpu":{{}},"f:memory":{{}}}},"f:requests":{{".":{{}},"f:cpu":{{}},"f:memory":{{}}}}}}}}}}}}}}}}"#
        );
    }
    out.push_str(r#"]},"spec":{"containers":["#);
    container(
        out,
        "app",
        &format!("registry.example.com/shop/web:{}", w % 40),
    );
    if sidecar {
        out.push(',');
        container(
            out,
            "aegis",
            "registry.example.com/security/aegis-agent:3.2.1",
        );
    }
    let _ = write!(
        out,
        r#"],"dnsPolicy":"ClusterFirst","enableServiceLinks":true,"nodeName":"{node}","preemptionPolicy":"PreemptLowerPriority","priority":0,"restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{{}},"serviceAccount":"default","serviceAccountName":"default","terminationGracePeriodSeconds":30,"tolerations":[{{"effect":"NoExecute","key":"node.kubernetes.io/not-ready","operator":"Exists","tolerationSeconds":300}},{{"effect":"NoExecute","key":"node.kubernetes.io/unreachable","operator":"Exists","tolerationSeconds":300}}],"volumes":[{{"name":"kube-api-access-{i:05x}","projected":{{"defaultMode":420,"sources":[{{"serviceAccountToken":{{"expirationSeconds":3607,"path":"token"}}}},{{"configMap":{{"items":[{{"key":"ca.crt","path":"ca.crt"}}],"name":"kube-root-ca.crt"}}}}]}}}}]}},"status":{{"phase":"Running","hostIP":"10.0.{}.{}","podIP":"10.{}.{}.{}","startTime":"2026-11-20T10:00:00Z","qosClass":"Burstable","conditions":["#,
        i % 250,
        i % 200,
        i % 200,
        i / 200 % 250,
        i % 250,
    );
    for (n, condition) in [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    .into_iter()
    .enumerate()
    {
        if n > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            r#"{{"type":"{condition}","status":"True","lastProbeTime":null,"lastTransitionTime":"2026-11-20T10:{:02}:{second:02}Z"}}"#,
            i / 60 % 60
        );
    }
    out.push_str(r#"],"containerStatuses":["#);
    status(
        out,
        "app",
        &format!("registry.example.com/shop/web:{}", w % 40),
        i,
    );
    if sidecar {
        out.push(',');
        status(
            out,
            "aegis",
            "registry.example.com/security/aegis-agent:3.2.1",
            i,
        );
    }
    out.push_str("]}}");
}

fn container(out: &mut String, name: &str, image: &str) {
    let _ = write!(
        out,
        r#"{{"name":"{name}","image":"{image}","imagePullPolicy":"IfNotPresent","ports":[{{"containerPort":8080,"name":"http","protocol":"TCP"}}],"env":[{{"name":"LOG_LEVEL","value":"info"}},{{"name":"POD_NAME","valueFrom":{{"fieldRef":{{"apiVersion":"v1","fieldPath":"metadata.name"}}}}}},{{"name":"DATABASE_URL","valueFrom":{{"secretKeyRef":{{"name":"db","key":"url"}}}}}}],"resources":{{"limits":{{"cpu":"500m","memory":"512Mi"}},"requests":{{"cpu":"100m","memory":"128Mi"}}}},"livenessProbe":{{"failureThreshold":3,"httpGet":{{"path":"/healthz","port":8080,"scheme":"HTTP"}},"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1}},"readinessProbe":{{"failureThreshold":3,"httpGet":{{"path":"/ready","port":8080,"scheme":"HTTP"}},"periodSeconds":10,"successThreshold":1,"timeoutSeconds":1}},"securityContext":{{"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true,"runAsNonRoot":true}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","volumeMounts":[{{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","name":"kube-api-access","readOnly":true}}]}}"#
    );
}

fn status(out: &mut String, name: &str, image: &str, i: usize) {
    let _ = write!(
        out,
        r#"{{"name":"{name}","image":"{image}","imageID":"registry.example.com/x@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","containerID":"containerd://{:064x}","lastState":{{}},"ready":true,"restartCount":0,"started":true,"state":{{"running":{{"startedAt":"2026-11-20T10:{:02}:{:02}Z"}}}}}}"#,
        i,
        i / 60 % 60,
        i % 60,
    );
}
