# SPDX-License-Identifier: Apache-2.0
# Completion for sluicectl(8). Commands and options come from the program, names from the daemon.

# _sluicectl_column COMMAND COLUMN: the values of a column, each once.
_sluicectl_column() {
	sluicectl "${socket[@]}" "$1" --tsv 2>/dev/null |
		awk -F '\t' -v name="$2" 'NR == 1 { for (i = 1; i <= NF; i++) if ($i == name) at = i; next }
			at && $at != "" && !seen[$at]++ { print $at }'
}

_sluicectl_filter() {
	case $1 in
	state=*) echo "handshake queued offered live" ;;
	listener=*) _sluicectl_column listeners listener ;;
	pool=*) _sluicectl_column workers pool ;;
	worker=*) _sluicectl_column workers worker ;;
	sni=*) _sluicectl_column sessions sni ;;
	identity=*) _sluicectl_column sessions peer_identity ;;
	*) return 1 ;;
	esac
}

_sluicectl() {
	local cur prev words cword i command='' socket=() found
	_init_completion -n =: || return

	for ((i = 1; i < cword; i++)); do
		case ${words[i]} in
		-s | --socket) socket=(--socket "${words[++i]}") ;;
		--source | --listener | --for | --uri) ((++i)) ;;
		-*) ;;
		*) [[ $command ]] || command=${words[i]} ;;
		esac
	done
	if [[ $prev == -s || $prev == --socket ]]; then
		_filedir
		return
	fi
	if [[ $prev == --listener ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_column listeners listener)" -- "$cur")
		return
	fi
	if [[ $prev == --source || $prev == --for ]]; then
		return
	fi
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$(sluicectl --words 2>/dev/null | grep '^-')" -- "$cur")
		return
	fi
	case $command in
	'' | help)
		mapfile -t COMPREPLY < <(compgen -W "$(sluicectl --words 2>/dev/null | grep -v '^-') help" -- "$cur")
		;;
	session | trace)
		mapfile -t COMPREPLY < <(compgen -W "$(_sluicectl_column sessions id)" -- "$cur")
		;;
	sessions | kill | rekey | recheck)
		if found=$(_sluicectl_filter "$cur"); then
			mapfile -t COMPREPLY < <(compgen -P "${cur%%=*}=" -W "$found" -- "${cur#*=}")
		else
			compopt -o nospace
			[[ $command == sessions ]] || found=$(_sluicectl_column sessions id)
			mapfile -t COMPREPLY < <(compgen -W "$found state= listener= pool= worker= sni= peer= identity= sha256=" -- "$cur")
		fi
		;;
	crl)
		case $prev in
		add) _filedir ;;
		del)
			mapfile -t COMPREPLY < <(compgen -W "$(sluicectl "${socket[@]}" crl list --tsv 2>/dev/null |
				awk -F '\t' '$7 == "added" { print $8 }')" -- "$cur")
			;;
		*) mapfile -t COMPREPLY < <(compgen -W "list add del" -- "$cur") ;;
		esac
		;;
	drain) mapfile -t COMPREPLY < <(compgen -W "off" -- "$cur") ;;
	log) mapfile -t COMPREPLY < <(compgen -W "error warning info debug" -- "$cur") ;;
	esac
}

complete -F _sluicectl sluicectl
