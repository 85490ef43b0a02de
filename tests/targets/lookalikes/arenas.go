//go:build goexperiment.arenas

package main

import "arena"

var kept []*arena.Arena

//go:noinline
func arenas() {
	begin("user arena")
	for k := 0; k < 3; k++ {
		a := arena.NewArena()
		kept = append(kept, a)
		for i := 0; i < 200; i++ {
			p, m := arena.New[pair](a), arena.New[medium](a)
			if i%20 == 0 {
				p.fill()
				m.p, m.head[7], m.tail[5] = live(), number(), number()
			}
			s := arena.MakeSlice[tailed](a, 100+i, 100+i)
			s[i/2] = tailed{}
			if i%20 == 5 {
				s[i/2].fill()
			}
			keep(p)
			keep(m)
			keep(s)
			u := arena.MakeSlice[uintptr](a, 3, 3)
			u[1] = 0
			if i%20 == 7 {
				u[1] = number()
			}
		}
	}
}
