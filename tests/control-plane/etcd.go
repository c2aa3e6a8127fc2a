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
	noFsync := flags.Bool("unsafe-no-fsync", false, "do not wait for the disk")
	logLevel := flags.String("log-level", "error", "log level")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	client, err := url.Parse(*clientURL)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd: --listen-client-urls:", err)
		return 2
	}
	advertise, err := url.Parse(*advertiseURL)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd: --advertise-client-urls:", err)
		return 2
	}
	peer, err := url.Parse(*peerURL)
	if err != nil {
		fmt.Fprintln(os.Stderr, "etcd: --listen-peer-urls:", err)
		return 2
	}
	cfg := embed.NewConfig()
	cfg.Dir = *dataDir
	cfg.LogLevel = *logLevel
	cfg.UnsafeNoFsync = *noFsync
	cfg.ListenClientUrls = []url.URL{*client}
	cfg.AdvertiseClientUrls = []url.URL{*advertise}
	cfg.ListenPeerUrls = []url.URL{*peer}
	cfg.AdvertisePeerUrls = []url.URL{*peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
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
