// What a static program does that a shell cannot, in a sandbox of one id.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

func check(what string, is, wanted any) {
	if fmt.Sprint(is) != fmt.Sprint(wanted) {
		fmt.Printf("%s: %v instead of %v\n", what, is, wanted)
		os.Exit(1)
	}
}

func filled(buffer []byte, length int) []byte {
	if length < 0 {
		length = 0
	}
	return buffer[:length]
}

func owner(path string) (uint32, uint32) {
	status, err := os.Lstat(path)
	check(path, err, nil)
	system := status.Sys().(*syscall.Stat_t)
	return system.Uid, system.Gid
}

// Many threads, which the runtime interrupts by signals all the time. As many files as the next word says.
func many() {
	files := 2000
	if len(os.Args) > 2 {
		fmt.Sscan(os.Args[2], &files)
	}
	runtime.GOMAXPROCS(8)
	var group sync.WaitGroup
	end := make(chan struct{})
	for spinning := 0; spinning < 4; spinning++ {
		go func() {
			for number := 0; ; number++ {
				select {
				case <-end:
					return
				default:
				}
			}
		}()
	}
	check("mkdir", os.Mkdir("/many", 0o755), nil)
	for part := 0; part < 8; part++ {
		group.Add(1)
		go func(part int) {
			defer group.Done()
			for number := 0; number < files/8; number++ {
				path := fmt.Sprintf("/many/%d-%d", part, number)
				check("write", os.WriteFile(path, nil, 0o644), nil)
				check("chown", os.Chown(path, 1+number, 2+part), nil)
				user, group := owner(path)
				check(path, []uint32{user, group}, []int{1 + number, 2 + part})
			}
		}(part)
	}
	group.Wait()
	close(end)
}

func attributes() {
	own := "user.ocibake.owner"
	check("symlink", os.Symlink("x", "/link"), nil)
	check("write", os.WriteFile("/file", nil, 0o644), nil)
	check("chown", os.Chown("/file", 5, 6), nil)
	check("lchown", os.Lchown("/link", 7, 8), nil)
	buffer := make([]byte, 1000)
	_, err := syscall.Getxattr("/file", own, buffer)
	check("get", err, syscall.ENODATA)
	check("set", syscall.Setxattr("/file", own, buffer[:20], 0), syscall.EPERM)
	check("set another", syscall.Setxattr("/file", "user.ocibake.more", buffer[:20], 0), syscall.EPERM)
	check("remove", syscall.Removexattr("/file", own), syscall.ENODATA)
	check("set one's own", syscall.Setxattr("/file", "user.mine", []byte("x"), 0), nil)
	length, err := syscall.Listxattr("/file", buffer)
	check("list", fmt.Sprintf("%q %v", filled(buffer, length), err), `"user.mine\x00" <nil>`)
	length, err = syscall.Listxattr("/file", nil)
	check("length", []any{length, err}, []any{10, nil})
	_, err = syscall.Listxattr("/file", buffer[:9])
	check("short", err, syscall.ERANGE)
	user, group := owner("/file")
	check("file", []uint32{user, group}, []int{5, 6})
	user, group = owner("/link")
	check("link", []uint32{user, group}, []int{7, 8})
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	check("capability", syscall.Setxattr("/file", "security.capability", capability, 0), nil)
	length, err = syscall.Getxattr("/file", "security.capability", buffer)
	check("capability", []any{filled(buffer, length), err}, []any{capability, nil})
}

// Lists that name users whom the kernel does not have.
func lists() {
	access, inherited := "system.posix_acl_access", "system.posix_acl_default"
	list := func(named, mask byte) []byte {
		bytes := []byte{2, 0, 0, 0}
		for _, entry := range [][3]int{{1, 7, -1}, {2, int(named), 1000}, {4, 5, -1}, {16, int(mask), -1}, {32, 5, -1}} {
			id := uint32(int32(entry[2]))
			bytes = append(bytes, byte(entry[0]), 0, byte(entry[1]), 0, byte(id), byte(id>>8), byte(id>>16), byte(id>>24))
		}
		return bytes
	}
	check("mkdir", os.Mkdir("/list", 0o755), nil)
	check("set", syscall.Setxattr("/list", access, list(7, 7), 0), nil)
	mode := func() os.FileMode {
		status, err := os.Lstat("/list")
		check("lstat", err, nil)
		return status.Mode().Perm()
	}
	check("mode", mode(), os.FileMode(0o775))
	check("chmod", os.Chmod("/list", 0o755), nil)
	buffer := make([]byte, 1000)
	length, err := syscall.Getxattr("/list", access, buffer)
	check("get", []any{filled(buffer, length), err}, []any{list(7, 5), nil})
	length, err = syscall.Listxattr("/list", buffer)
	check("list", fmt.Sprintf("%q %v", filled(buffer, length), err), `"system.posix_acl_access\x00" <nil>`)
	// What is made in a directory has its list, and no mask takes anything away.
	syscall.Umask(0o77)
	check("mkdir", os.Mkdir("/lists", 0o755), nil)
	check("inherited", syscall.Setxattr("/lists", inherited, list(7, 7), 0), nil)
	check("write", os.WriteFile("/lists/file", nil, 0o640), nil)
	check("mkdir", os.Mkdir("/lists/more", 0o777), nil)
	for path, wanted := range map[string][]byte{"/lists/file": list(7, 4), "/lists/more": list(7, 7)} {
		wanted[4+2], wanted[4+4*8+2] = 7, 5
		if path == "/lists/file" {
			wanted[4+2], wanted[4+4*8+2] = 6, 0
		}
		length, err = syscall.Getxattr(path, access, buffer)
		check(path, []any{filled(buffer, length), err}, []any{wanted, nil})
	}
	length, err = syscall.Getxattr("/lists/more", inherited, buffer)
	check("inherited", []any{filled(buffer, length), err}, []any{list(7, 7), nil})
	check("file", syscall.Setxattr("/lists/file", inherited, list(7, 7), 0), syscall.EACCES)
	check("removed", syscall.Removexattr("/lists", inherited), nil)
	_, err = syscall.Getxattr("/lists", inherited, buffer)
	check("removed", err, syscall.ENODATA)
}

func who() {
	fmt.Println(os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
}

// A program that does not start makes nobody another.
func fails() {
	err := syscall.Exec("/bad", []string{"bad"}, nil)
	fmt.Println(err, os.Geteuid())
}

// A path that changes while the supervisor reads it.
func race() {
	paths := []string{"/inside/f", "/proc/1/root/..", "/proc/1/cwd/x", "/proc/self/exe", "/out/resolv.conf", "/../../../etc"}
	for descriptor := 0; descriptor < 40; descriptor++ {
		paths = append(paths, fmt.Sprintf("/proc/1/fd/%d/x", descriptor), fmt.Sprintf("/proc/1/fd/%d", descriptor))
	}
	check("mkdir", os.Mkdir("/inside", 0o755), nil)
	check("write", os.WriteFile("/inside/f", nil, 0o644), nil)
	buffer := make([]byte, 64)
	go func() {
		for number := 0; ; number++ {
			copy(buffer, append([]byte(paths[number%len(paths)]), 0))
		}
	}()
	end := time.Now().Add(time.Second)
	at := uintptr(unsafe.Pointer(&buffer[0]))
	for number := uintptr(0); time.Now().Before(end); number++ {
		syscall.Syscall(syscall.SYS_LCHOWN, at, 3000+number%7, 4000)
		syscall.Syscall(syscall.SYS_MKDIR, at, 0o777, 0)
		syscall.Syscall(syscall.SYS_OPEN, at, syscall.O_CREAT|syscall.O_EXCL|syscall.O_CLOEXEC, 0o666)
	}
}

func refused() {
	_, _, err := syscall.Syscall(425, 1, 0, 0)
	fmt.Println("io_uring:", err)
	const locks = 10
	limit := syscall.Rlimit{Cur: 0, Max: 0}
	_, _, err = syscall.Syscall6(syscall.SYS_PRLIMIT64, 0, locks, uintptr(unsafe.Pointer(&limit)), 0, 0, 0)
	fmt.Println("limit:", err)
	entries, _ := os.ReadDir("/proc/1/fd")
	seen := 0
	for _, entry := range entries {
		if _, err := os.Readlink("/proc/1/fd/" + entry.Name()); err == nil {
			seen++
		}
	}
	fmt.Println("its descriptors:", seen)
	_, failed := os.Open("/proc/1/mem")
	fmt.Println("its memory:", failed)
}

func main() {
	does := map[string]func(){
		"many": many, "attributes": attributes, "lists": lists, "who": who, "fails": fails, "race": race, "refused": refused,
	}
	does[os.Args[1]]()
	fmt.Println("ok")
}
