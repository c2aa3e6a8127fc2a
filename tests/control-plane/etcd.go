package main

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// runEtcd serves one etcd member on loopback. It takes the ordinary program's flags
// that the harness uses, so that an etcd from KUBEBUILDER_ASSETS can stand in for it.
func runEtcd(args []string) int {
	flags := flag.NewFlagSet("etcd", flag.ContinueOnError)
	dataDir := flags.String("data-dir", "", "folder of the data")
	clientURL := flags.String("listen-client-urls", "", "client URL")
	advertiseURL := flags.String("advertise-client-urls", "", "client URL to advertise")
	peerURL := flags.String("listen-peer-urls", "", "peer URL")
	advertisePeerURL := flags.String("initial-advertise-peer-urls", "", "peer URL to advertise")
	cluster := flags.String("initial-cluster", "", "name=URL of the one member")
	reusePort := flags.Bool("socket-reuse-port", false, "share the ports with a socket that holds them")
	noFsync := flags.Bool("unsafe-no-fsync", false, "do not wait for the disk")
	logLevel := flags.String("log-level", "error", "log level")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	urls := map[string]url.URL{}
	for name, value := range map[string]string{
		"listen-client-urls":          *clientURL,
		"advertise-client-urls":       *advertiseURL,
		"listen-peer-urls":            *peerURL,
		"initial-advertise-peer-urls": *advertisePeerURL,
	} {
		parsed, err := url.Parse(value)
		if err != nil {
			fmt.Fprintf(os.Stderr, "etcd: --%s: %v\n", name, err)
			return 2
		}
		urls[name] = *parsed
	}
	cfg := embed.NewConfig()
	cfg.Dir = *dataDir
	cfg.LogLevel = *logLevel
	cfg.UnsafeNoFsync = *noFsync
	cfg.ListenClientUrls = []url.URL{urls["listen-client-urls"]}
	cfg.AdvertiseClientUrls = []url.URL{urls["advertise-client-urls"]}
	cfg.ListenPeerUrls = []url.URL{urls["listen-peer-urls"]}
	cfg.AdvertisePeerUrls = []url.URL{urls["initial-advertise-peer-urls"]}
	cfg.InitialCluster = *cluster
	cfg.SocketOpts.ReusePort = *reusePort
	// Left at zero every request is logged as slow.
	cfg.WarningUnaryRequestDuration = 5 * time.Second

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-stop:
		return 0
	case err := <-server.Err():
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
}
