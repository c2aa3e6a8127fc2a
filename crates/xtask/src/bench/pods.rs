//! Synthetic objects as clusters have them: pods of about 8 kB of JSON with managedFields,
//! three to a workload, each with its ReplicaSet and Deployment, spread over namespaces and
//! nodes. An admission webhook added the sidecar to half of the pods that have it.

use std::fmt::Write as _;

/// Pods of one workload.
pub const PER_WORKLOAD: usize = 3;

/// Name of the workload of pod `i`.
pub fn workload(i: usize) -> usize {
    i / PER_WORKLOAD
}

/// Namespace of workload `w`.
pub fn namespace(w: usize) -> String {
    format!("team-{:03}", w % NAMESPACES)
}

/// A ReplicaSet's name.
pub fn replica_set(w: usize) -> String {
    format!(
        "web-{w:05}-{:x}",
        0x6c5d_4b3a_u64 ^ (w as u64).wrapping_mul(0x9e37)
    )
}

/// Nodes of a cluster of `pods` pods.
pub fn nodes(pods: usize) -> usize {
    pods.div_ceil(50)
}

/// Namespaces of the cluster.
pub const NAMESPACES: usize = 200;

fn uid(seed: usize) -> String {
    let seed = seed as u64;
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
}

/// The UID of the ReplicaSet of workload `w`.
fn replica_set_uid(w: usize) -> String {
    uid(1_000_000 + w)
}

/// The UID of the Deployment of workload `w`.
fn deployment_uid(w: usize) -> String {
    uid(2_000_000 + w)
}

fn hash(rs: &str) -> &str {
    rs.rsplit('-').next().unwrap_or_default()
}

fn has_sidecar(w: usize) -> bool {
    !w.is_multiple_of(5)
}

/// Writes namespace `n` into `out`.
pub fn write_namespace(out: &mut String, n: usize) {
    out.clear();
    let _ = write!(
        out,
        r#"{{"metadata":{{"name":"{}","uid":"{}","creationTimestamp":"2026-01-20T10:00:00Z","labels":{{"kubernetes.io/metadata.name":"{}","env":"prod"}}}},"status":{{"phase":"Active"}}}}"#,
        namespace(n),
        uid(3_000_000 + n),
        namespace(n),
    );
}

/// Writes node `n` into `out`.
pub fn write_node(out: &mut String, n: usize) {
    out.clear();
    let _ = write!(
        out,
        r#"{{"metadata":{{"name":"node-{n:04}","uid":"{}","creationTimestamp":"2026-01-20T10:00:00Z","labels":{{"beta.kubernetes.io/arch":"amd64","kubernetes.io/arch":"amd64","kubernetes.io/hostname":"node-{n:04}","kubernetes.io/os":"linux","node.kubernetes.io/instance-type":"m{}","topology.kubernetes.io/region":"r1","topology.kubernetes.io/zone":"r1-{}"}}}},"spec":{{"podCIDR":"10.{}.{}.0/24"}},"status":{{"conditions":[{{"type":"Ready","status":"True","lastTransitionTime":"2026-01-20T10:01:00Z"}}],"nodeInfo":{{"operatingSystem":"linux","architecture":"amd64"}}}}}}"#,
        uid(4_000_000 + n),
        n % 4,
        n % 3,
        n / 250,
        n % 250,
    );
}

/// Writes the ReplicaSet of workload `w` into `out`.
pub fn write_replica_set(out: &mut String, w: usize) {
    let (ns, rs) = (namespace(w), replica_set(w));
    let hash = hash(&rs);
    out.clear();
    let _ = write!(
        out,
        r#"{{"metadata":{{"name":"{rs}","namespace":"{ns}","uid":"{}","resourceVersion":"{}","generation":1,"creationTimestamp":"2026-11-20T10:00:00Z","labels":{{{},"pod-template-hash":"{hash}"}},"annotations":{{"deployment.kubernetes.io/desired-replicas":"3","deployment.kubernetes.io/max-replicas":"4","deployment.kubernetes.io/revision":"1"}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"Deployment","name":"web-{w:05}","uid":"{}","controller":true,"blockOwnerDeletion":true}}],"managedFields":["#,
        replica_set_uid(w),
        2_000_000 + w,
        labels(w),
        deployment_uid(w),
    );
    managed_fields(out, &["kube-controller-manager"]);
    let _ = write!(
        out,
        r#"]}},"spec":{{"replicas":3,"selector":{{"matchLabels":{{"app":"web-{w:05}","pod-template-hash":"{hash}"}}}},"template":{{"metadata":{{"creationTimestamp":null,"labels":{{{},"pod-template-hash":"{hash}"}},"annotations":{{{ANNOTATIONS}}}}},"spec":{{"#,
        labels(w),
    );
    template_spec(out, w);
    out.push_str(r#"}}},"status":{"availableReplicas":3,"fullyLabeledReplicas":3,"observedGeneration":1,"readyReplicas":3,"replicas":3}}"#);
}

/// Writes the Deployment of workload `w` into `out`.
pub fn write_deployment(out: &mut String, w: usize) {
    out.clear();
    let _ = write!(
        out,
        r#"{{"metadata":{{"name":"web-{w:05}","namespace":"{}","uid":"{}","resourceVersion":"{}","generation":1,"creationTimestamp":"2026-11-20T10:00:00Z","labels":{{"app":"web-{w:05}","app.kubernetes.io/managed-by":"Helm"}},"annotations":{{"deployment.kubernetes.io/revision":"1","meta.helm.sh/release-name":"web-{w:05}"}},"managedFields":["#,
        namespace(w),
        deployment_uid(w),
        3_000_000 + w,
    );
    managed_fields(out, &["helm", "kube-controller-manager"]);
    let _ = write!(
        out,
        r#"]}},"spec":{{"progressDeadlineSeconds":600,"replicas":3,"revisionHistoryLimit":10,"selector":{{"matchLabels":{{"app":"web-{w:05}"}}}},"strategy":{{"type":"RollingUpdate"}},"template":{{"metadata":{{"creationTimestamp":null,"labels":{{{}}},"annotations":{{{ANNOTATIONS}}}}},"spec":{{"#,
        labels(w),
    );
    template_spec(out, w);
    out.push_str(r#"}}},"status":{"availableReplicas":3,"observedGeneration":1,"readyReplicas":3,"replicas":3,"updatedReplicas":3,"conditions":[{"type":"Available","status":"True","lastTransitionTime":"2026-11-20T10:00:00Z","lastUpdateTime":"2026-11-20T10:00:00Z","message":"Deployment has minimum availability.","reason":"MinimumReplicasAvailable"}]}}"#);
}

/// Writes pod `i`, on one of `nodes` nodes, into `out`.
pub fn write(out: &mut String, i: usize, nodes: usize) {
    out.clear();
    let w = workload(i);
    let (ns, rs) = (namespace(w), replica_set(w));
    let node = format!("node-{:04}", i.wrapping_mul(7919) % nodes);
    let hash = hash(&rs);
    let sidecar = has_sidecar(w);
    let second = i % 60;
    let _ = write!(
        out,
        r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{rs}-{i:05x}","generateName":"{rs}-","namespace":"{ns}","uid":"{}","resourceVersion":"{}","creationTimestamp":"2026-11-20T10:{:02}:{second:02}Z","labels":{{{},"pod-template-hash":"{hash}"}},"annotations":{{{ANNOTATIONS}}},"ownerReferences":[{{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"{rs}","uid":"{}","controller":true,"blockOwnerDeletion":true}}],"managedFields":["#,
        uid(i),
        1_000_000 + i,
        i / 60 % 60,
        labels(w),
        replica_set_uid(w),
    );
    managed_fields(
        out,
        &["kube-controller-manager", "kube-scheduler", "kubelet"],
    );
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

const ANNOTATIONS: &str = r#""prometheus.io/scrape":"true","prometheus.io/port":"8080","kubectl.kubernetes.io/restartedAt":"2026-11-20T09:00:00Z","checksum/config":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08""#;

/// Labels of the pods of workload `w`, as its template has them.
fn labels(w: usize) -> String {
    format!(
        r#""app":"web-{w:05}","app.kubernetes.io/name":"web","app.kubernetes.io/part-of":"shop","team":"{}","version":"v{}""#,
        namespace(w),
        w % 7
    )
}

/// The pod spec of the template of workload `w`, without its braces.
fn template_spec(out: &mut String, w: usize) {
    out.push_str(r#""containers":["#);
    let image = format!("registry.example.com/shop/web:{}", w % 40);
    container(out, "app", &image);
    if has_sidecar(w) && w.is_multiple_of(2) {
        out.push(',');
        container(
            out,
            "aegis",
            "registry.example.com/security/aegis-agent:3.2.1",
        );
    }
    out.push_str(r#"],"dnsPolicy":"ClusterFirst","restartPolicy":"Always","schedulerName":"default-scheduler","securityContext":{},"terminationGracePeriodSeconds":30"#);
}

fn managed_fields(out: &mut String, managers: &[&str]) {
    for (n, manager) in managers.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        let _ = write!(
            out,
            r#"{{"manager":"{manager}","operation":"Update","apiVersion":"v1","time":"2026-11-20T10:00:00Z","fieldsType":"FieldsV1","fieldsV1":{{"f:metadata":{{"f:annotations":{{".":{{}},"f:prometheus.io/scrape":{{}},"f:prometheus.io/port":{{}},"f:checksum/config":{{}}}},"f:labels":{{".":{{}},"f:app":{{}},"f:app.kubernetes.io/name":{{}},"f:app.kubernetes.io/part-of":{{}},"f:pod-template-hash":{{}},"f:team":{{}}}},"f:ownerReferences":{{".":{{}},"k:{{\"uid\":\"x\"}}":{{}}}}}},"f:spec":{{"f:containers":{{"k:{{\"name\":\"app\"}}":{{".":{{}},"f:env":{{".":{{}},"k:{{\"name\":\"LOG_LEVEL\"}}":{{".":{{}},"f:name":{{}},"f:value":{{}}}}}},"f:image":{{}},"f:imagePullPolicy":{{}},"f:livenessProbe":{{".":{{}},"f:httpGet":{{".":{{}},"f:path":{{}},"f:port":{{}}}}}},"f:name":{{}},"f:ports":{{}},"f:resources":{{".":{{}},"f:limits":{{".":{{}},"f:cpu":{{}},"f:memory":{{}}}},"f:requests":{{".":{{}},"f:cpu":{{}},"f:memory":{{}}}}}}}}}}}}}}}}"#
        );
    }
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
